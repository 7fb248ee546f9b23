//! A worker's life: it takes its assignment from its own socket, puts itself into the state it is to
//! start with, and runs its task.

mod assignment;
mod command;
mod current;
mod descriptors;
mod environment;
mod exit;
mod function;
mod limits;
mod rehearse;
mod report;
mod signals;
mod state;

use crate::panics;
use crate::registry::hook::{self, Hooks};
use crate::serve::{self, Tasks};
use assignment::Task;
use mpfork_proto::link::Inherited;
use mpfork_proto::v1;
use mpfork_sys::descriptors::adopt_datagram_socket;
use mpfork_sys::exit::exit_now;
use mpfork_sys::spawn::DOOR_NUMBER;
use mpfork_sys::threads::ManyThreads;
use nix::unistd::Pid;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

pub use current::{Current, args_os, current, door};
pub use exit::at_end;
pub(crate) use exit::flush;

/// What a process that was just forked has of its zygote.
#[derive(Debug)]
pub(crate) struct Born {
    /// The worker's own socket.
    pub(crate) control: OwnedFd,
    /// By which it gets a link to its zygote, where that is a program's own.
    pub(crate) door: Option<OwnedFd>,
    pub(crate) kept: Kept,
    /// What the worker may be asked to do.
    pub(crate) tasks: Tasks,
    /// The zygote's process group.
    pub(crate) zygote_group: Pid,
    pub(crate) hooks: &'static Hooks,
    /// Its assignment is still to come: it gets ready meanwhile.
    pub(crate) spare: bool,
    /// The process with which it is to end, where nobody else sees to that.
    pub(crate) owner: Option<rustix::process::Pid>,
}

/// Which descriptors a worker keeps of those it was born with.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    /// Those that the preloads opened.
    These(Vec<RawFd>),
    /// All, as any forked process, but those under these numbers. They become the null device: the
    /// process still has objects that take the numbers for theirs.
    AllBut(Vec<RawFd>),
}

/// Why a worker can't start.
#[derive(Debug)]
struct StartError {
    what: &'static str,
    errno: i32,
    message: String,
}

impl StartError {
    fn system(what: &'static str, error: impl Into<std::io::Error>) -> Self {
        let error = error.into();
        Self {
            what,
            errno: error.raw_os_error().unwrap_or(0),
            message: error.to_string(),
        }
    }

    fn bad(what: &'static str, message: impl Into<String>) -> Self {
        Self {
            what,
            errno: rustix::io::Errno::INVAL.raw_os_error(),
            message: message.into(),
        }
    }
}

/// The descriptors of a worker that are not its program's.
#[derive(Debug)]
struct Own {
    control: OwnedFd,
    door: Option<OwnedFd>,
}

/// The exit code of a worker that could not start.
pub(crate) const NOT_STARTED: i32 = 126;

/// Does once, in the zygote, what each of its workers would have to do on its own.
pub(crate) fn prepare(hooks: &'static Hooks) {
    exit::prepare(hooks);
    // The preloads may have set hooks of their own.
    panics::install();
    prepare_any();
}

/// An environment of more is not told: a frame has its limit.
const MOST_ENVIRONMENT: usize = 1 << 20;

/// What workers that are forked start with anyhow; `None` where hooks before a fork may change it.
pub(crate) fn inherited(hooks: &Hooks) -> Option<Inherited> {
    if !hooks.before_fork.is_empty() {
        return None;
    }
    let rlimits = limits::remember().iter().map(|limit| v1::Rlimit {
        resource: limit.resource,
        soft: limit.soft,
        hard: limit.hard,
    });
    let environment = environment::current();
    (environment.len() <= MOST_ENVIRONMENT).then(|| Inherited {
        environment,
        rlimits: rlimits.collect(),
    })
}

fn prepare_any() {
    limits::remember();
    mpfork_sys::entry::prepare();
    // The thread's place for panics has a destructor, which is registered on first use: the loader
    // searches all libraries for it.
    panics::forget();
    rehearse::prepare();
}

/// What a process that was executed as a worker has.
pub(crate) fn executed(control: OwnedFd, tasks: Tasks) -> Born {
    // What a filter refuses here is as it was inherited.
    let _ = mpfork_sys::signals::reset_internal();
    serve::show_as_program();
    panics::install();
    prepare_any();
    let hooks = hook::all().unwrap_or_else(|error| {
        report::start_failed(&control, StartError::bad("hooks", error.to_string()));
        exit_now(NOT_STARTED)
    });
    Born {
        control,
        door: adopt_datagram_socket(DOOR_NUMBER),
        kept: Kept::These(Vec::new()),
        tasks,
        // Its zygote's: it left that when it was executed.
        zygote_group: rustix::process::getppid().map_or(Pid::this(), |parent| {
            Pid::from_raw(parent.as_raw_nonzero().get())
        }),
        hooks,
        spare: false,
        owner: None,
    }
}

/// Has the system kill this process when its parent ends. It means the parent's thread that forked, and
/// that may have been made for this alone: whoever sends the assignment does so once that is gone.
fn end_with(owner: rustix::process::Pid) {
    // Where the system offers nothing, it goes on after its owner.
    let _ = mpfork_sys::own_process::die_with_parent(true);
    if rustix::process::getppid() != Some(owner) {
        exit_now(NOT_STARTED);
    }
}

/// Tells a supervisor that this process can't be a worker because it has threads.
pub(crate) fn refuse(control: BorrowedFd<'_>, threads: &ManyThreads) {
    let message = format!(
        "the program started threads before it called freeze_support(): {}",
        threads.names.join(", ")
    );
    report::start_failed(&control, StartError::bad("program", message));
}

/// Makes the process the worker it was forked to be. Returns when that is to go on with `main`.
pub(crate) fn become_worker(born: Born) {
    // The zygote does so too; whoever comes first.
    let _ = rustix::process::setpgid(None, None);
    let by_zygote = matches!(born.kept, Kept::These(_));
    exit::take_over(born.hooks, by_zygote);
    let hooks = born.hooks;
    let mut own = Own {
        control: born.control,
        door: born.door,
    };
    let place = state::Place {
        kept: born.kept,
        zygote_group: born.zygote_group,
    };
    let owner = born.owner;
    // A start that found no other spare may be waiting for this one.
    if born.spare && !assignment::is_there(&own.control) {
        rehearse::rehearse();
    }
    let prepared =
        assignment::receive(&own.control, born.tasks).and_then(|assignment| match assignment {
            Some(assignment) => {
                owner.into_iter().for_each(end_with);
                state::apply(assignment, place, &mut own)
            }
            // Nobody is left who wants this worker.
            None => exit_now(NOT_STARTED),
        });
    let (task, channel) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            report::start_failed(&own.control, error);
            exit_now(NOT_STARTED)
        }
    };
    let task = match task {
        Task::Command(command) => command.run(&own.control),
        task => task,
    };
    report::keep(own.control);
    current::keep_door(own.door);
    // Where the program's code ran since that was done.
    if !by_zygote || !hooks.before_fork.is_empty() {
        panics::install();
    }
    panics::tell(|panic| report::panic(panic.clone()));
    for hook in &hooks.after_fork {
        if let Err(error) = hook::run(hook) {
            report::hook(&error);
            flush();
            exit_now(1);
        }
    }
    match task {
        Task::Function(function) => function.run(channel),
        Task::Command(_) | Task::Main => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpfork_sys::limits::NOFILE;

    #[test]
    fn what_is_inherited_is_this_processs_but_for_open_files() {
        let inherited = inherited(hook::all().unwrap()).unwrap();
        let block = inherited.environment;
        assert_eq!(mpfork_proto::environment::check(&block), Ok(()));
        let count = mpfork_proto::environment::entries(&block).count();
        assert!(count > 0 && count == std::env::vars_os().count());
        assert!(inherited.rlimits.len() > 3);
        for told in inherited.rlimits {
            assert_ne!(told.resource, NOFILE);
            let limit = mpfork_sys::limits::get(told.resource).unwrap();
            assert_eq!((told.soft, told.hard), (limit.soft, limit.hard));
        }
    }
}
