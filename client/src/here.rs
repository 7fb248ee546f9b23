//! Start method `fork`: workers that the calling process forks itself.

use crate::api::Task;
use crate::assign::Assignable;
use crate::context::Context;
use crate::embedded::{Made, first_reports};
use crate::error::Error;
use crate::exit::Exit;
use crate::held;
use crate::random;
use crate::worker::{Place, Start, reaped_status};
use mpfork_driver::control::Control;
use mpfork_driver::exit::{Known, exit};
use mpfork_driver::failed;
use mpfork_proto::link::ForkFailed;
use mpfork_proto::v1::{StartWay, WorkerId};
use mpfork_sys::fork::{DespiteThreads, ForkError};
use mpfork_sys::reactor::Readable;
use mpfork_sys::{sentinel, wait};
use mpfork_zygote::{ForkHereError, Forking, expect_alone, fork_here, groups};
use std::collections::HashSet;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A worker that this process has forked.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) id: WorkerId,
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    parent: u32,
    /// What its end left to tell; taken by whoever reaps it.
    end: Mutex<Option<End>>,
    /// It is seen to: nobody needs to reap it any more.
    reaped: AtomicBool,
    begun: Instant,
}

#[derive(Debug)]
struct End {
    control: Control,
    group: Option<groups::Led>,
}

/// Which process this is, as a number that no other has.
pub(crate) fn instance() -> u64 {
    static KNOWN: Mutex<Option<(u32, u64)>> = Mutex::new(None);
    let pid = std::process::id();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match *known {
        Some((of, number)) if of == pid => number,
        _ => known.insert((pid, random::number())).1,
    }
}

/// A worker that was forked, and has not told yet how it began.
#[derive(Debug)]
pub(crate) struct Forked {
    child: Child,
    socket: UnixStream,
    assignable: Assignable,
}

/// Forks a worker.
pub(crate) fn fork(context: &Context, start: &Start) -> Result<Forked, Error> {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    check(start)?;
    reap_left(None);
    let assignable = Assignable::new(&start.request)?;
    if let Some(function) = assignable.function_name() {
        let program = crate::embedded::program_name();
        failed::check_function(function, &program, &registered())?;
    }
    let id = WorkerId {
        instance: instance(),
        counter: COUNTER.fetch_add(1, Ordering::Relaxed),
    };
    let (ours, theirs) =
        Control::sockets().map_err(|error| Error::system("making a worker's socket", error))?;
    let keep = assignable.start.keep || start.detached;
    let begun = Instant::now();
    let copies = assignable.descriptors.iter().map(AsRawFd::as_raw_fd);
    let callers: Vec<RawFd> = start.callers.iter().copied().chain(copies).collect();
    let forked = by_fit_thread(theirs, keep, context.despite_threads(), &callers);
    let pid = forked.map_err(not_forked)?;
    // Not waited for yet, so the pid is its own.
    let pidfd = match sentinel::open(pid) {
        Ok(pidfd) => pidfd,
        Err(error) => {
            // By the end of its socket it ends, and by the number of that it can be waited for.
            drop(ours);
            if let Ok(pidfd) = sentinel::open(pid) {
                crate::sentinel::wait(pidfd.as_fd(), None);
                let _ = wait::reap_named(pid, pidfd.as_fd());
            }
            return Err(Error::system("opening a worker's pidfd", error));
        }
    };
    Ok(Forked {
        child: Child {
            id,
            pid,
            pidfd,
            parent: std::process::id(),
            end: Mutex::new(None),
            reaped: AtomicBool::new(false),
            begun,
        },
        socket: ours,
        assignable,
    })
}

/// Forks by this thread, unless it drives a runtime: the child would be taken to do so too, and could
/// drive none of its own. Nor by one of several threads: to the system the child would be that thread's,
/// and end with it. Then by another one, for which this one waits.
fn by_fit_thread(
    control: OwnedFd,
    keep: bool,
    responsible: Option<DespiteThreads>,
    callers: &[RawFd],
) -> Result<i32, ForkHereError> {
    let held = held::numbers();
    let forking = |alone| responsible.map_or(alone, Forking::DespiteThreads);
    let passing = responsible.is_some() && !mpfork_sys::threads::is_main();
    if !passing && tokio::runtime::Handle::try_current().is_err() {
        return fork_here(control, keep, forking(Forking::Alone), callers, held);
    }
    if responsible.is_none() {
        expect_alone()?;
    }
    let (thread, forked) = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("main".to_owned());
        let fork = || {
            let forked = fork_here(control, keep, forking(Forking::BesideMain), callers, held);
            (mpfork_sys::threads::own_number(), forked)
        };
        match thread.spawn_scoped(scope, fork) {
            Ok(thread) => match thread.join() {
                Ok((thread, forked)) => (Some(thread), forked),
                Err(panic) => std::panic::resume_unwind(panic),
            },
            Err(error) => (None, Err(ForkError::System(error).into())),
        }
    });
    // To the system the child is that thread's until it is quite gone, which is a moment after the join.
    if let Some(thread) = thread {
        mpfork_sys::threads::wait_until_gone(thread);
    }
    forked
}

/// The functions that this program has registered.
fn registered() -> HashSet<String> {
    let names = mpfork_zygote::function_names().into_iter();
    names.map(str::to_owned).collect()
}

impl Child {
    /// Waits until the worker has begun.
    pub(crate) async fn begun(forked: Forked) -> Result<Self, Error> {
        let Forked {
            child,
            socket,
            assignable,
        } = forked;
        let own = child.pidfd.try_clone();
        let own = own.map_err(|error| Error::system("copying a worker's pidfd", error))?;
        let mut made = Made(child.pid, Some(own));
        let mut control = Control::of(socket)
            .map_err(|error| Error::system("making a worker's socket", error))?;
        assignable
            .assign(&mut control, child.id, StartWay::Fork, None)
            .await?;
        first_reports(&mut control, assignable.command).await?;
        let reports = control.first_reports();
        // By its own pidfd: the program may have waited for it already, and its number be another's.
        let own = made.take();
        let group = own.and_then(|(pid, own)| groups::Led::of(pid, own));
        *child.end() = Some(End { control, group });
        let description = &assignable.start.description;
        if let Err(problem) = failed::check_begun(child.id, description, false, reports) {
            child.exited().await?;
            return Err(problem.into());
        }
        Ok(child)
    }

    fn end(&self) -> std::sync::MutexGuard<'_, Option<End>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the exit. May be cancelled and called again.
    pub(crate) async fn exited(&self) -> Result<Exit, Error> {
        let wait = |error| Error::system("waiting for a worker", error);
        let copy = self.pidfd.try_clone().map_err(wait)?;
        Readable::new(copy)
            .map_err(wait)?
            .ready()
            .await
            .map_err(wait)?;
        Ok(self.reap())
    }

    /// The exit of a process that has ended.
    fn reap(&self) -> Exit {
        let mut end = self.end();
        let run_time = self.begun.elapsed();
        let reaped = match self.parent == std::process::id() {
            true => wait::reap_named(self.pid, self.pidfd.as_fd())
                .ok()
                .flatten(),
            false => None,
        };
        self.reaped.store(true, Ordering::Relaxed);
        let (left, reports) = match end.take() {
            Some(End { control, group }) => (
                group.map(groups::Led::end).unwrap_or_default(),
                control.into_reports(),
            ),
            None => Default::default(),
        };
        drop(end);
        let known = Known {
            // The program may wait for any child of its own.
            status: reaped
                .map(|reaped| reaped.status)
                .or_else(|| reaped_status(self.pidfd.as_fd())),
            lost: "its status was collected by something else in the process that forked it",
            timed_out: None,
            rusage: reaped.map(|reaped| mpfork_zygote::rusage(&reaped.usage)),
            leftovers: left,
            run_time,
        };
        Exit::new(exit(known, reports))
    }
}

fn check(start: &Start) -> Result<(), Error> {
    let unsupported = |what: &str, why| {
        Err(Error::Unsupported {
            what: format!("{what} by start method fork"),
            why,
        })
    };
    if matches!(start.request.task, Task::Main { .. }) {
        return unsupported(
            "going on with main",
            "a forked process is in the middle of it already",
        );
    }
    if start.request.time_limit.is_some() {
        return unsupported(
            "a time limit",
            "nobody but the calling process would keep it: use forkserver or spawn",
        );
    }
    if let Place::Template(name) = &start.place
        && &**name != mpfork_proto::BUILTIN_TEMPLATE
    {
        return unsupported("a template", "only mpforkd has them");
    }
    Ok(())
}

fn not_forked(error: ForkHereError) -> Error {
    match error {
        ForkHereError::Fork(ForkError::Threads(threads)) => Error::HasThreads {
            threads: threads.names,
        },
        ForkHereError::Fork(ForkError::System(error)) => failed::fork(
            &crate::embedded::program_name(),
            ForkFailed {
                errno: error.raw_os_error().unwrap_or(0),
                message: format!("fork: {error}"),
                ..ForkFailed::default()
            },
        )
        .into(),
        ForkHereError::Hook(error) => failed::hook(
            &crate::embedded::program_name(),
            error.hook(),
            &error.fault().line(),
        )
        .into(),
        error => Error::system("forking", std::io::Error::other(error)),
    }
}

/// A forked child that nobody waits for any more.
#[derive(Debug)]
struct Left {
    parent: u32,
    pid: i32,
    pidfd: Option<OwnedFd>,
}

/// Reaps those that have ended of the children nobody waits for, to whom `more` is added.
fn reap_left(more: Option<Left>) {
    static LEFT: Mutex<Vec<Left>> = Mutex::new(Vec::new());
    let own = std::process::id();
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.extend(more);
    left.retain(|child| {
        child.parent == own
            && child
                .pidfd
                .as_ref()
                .is_some_and(|pidfd| matches!(wait::reap_named(child.pid, pidfd.as_fd()), Ok(None)))
    });
}

/// A worker that nobody waits for any more is reaped when it has ended: at the latest when the next is
/// started or dropped.
impl Drop for Child {
    fn drop(&mut self) {
        if self.parent == std::process::id() && !self.reaped.load(Ordering::Relaxed) {
            reap_left(Some(Left {
                parent: self.parent,
                pid: self.pid,
                pidfd: self.pidfd.try_clone().ok(),
            }));
        }
    }
}
