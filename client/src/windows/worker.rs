//! A worker as its starter sees it: a process that was executed, and the two pipes between them.

use crate::api::OnOwnerDeath;
use crate::error::Error;
use crate::exit::Exit;
use crate::freeze;
use crate::options::{Options, Pipes};
use crate::settings;
use mpfork_proto::link::{AssignedTask, Assignment, WORKER_ENV, assigned_task, worker_report};
use mpfork_proto::v1::{self, WorkerId, exit::How, failure};
use mpfork_sys::handles::available;
use mpfork_sys::process::{Child, Given, Launch, spawn, wait};
use mpfork_zygote::stream::{self, Inbox, Told};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, ErrorKind, Read as _};
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A program that has not said in this time that it begins does not know how to be a worker.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often a worker is looked at that is starting, and one that is waited for: a result that is larger
/// than the pipe has to be taken out for the worker to end.
const STARTING: Duration = Duration::from_millis(1);
const RUNNING: Duration = Duration::from_millis(10);

/// The exit code of what was terminated, as Python's `multiprocessing` has it.
const TERMINATED: u32 = 0x10000;
const SIGTERM: i32 = 15;

/// What a worker is to do.
#[derive(Debug)]
pub(crate) enum Task {
    /// Run a function with this encoded argument.
    Function {
        target: assigned_task::function::Target,
        argument: Vec<u8>,
    },
    /// Go on with the program's `main`.
    Main { args: Vec<OsString> },
}

/// A worker that was started.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) pid: i32,
    child: Child,
    begun: Instant,
    told: Mutex<Reading>,
    exit: OnceLock<Exit>,
}

/// What the worker has told so far.
#[derive(Debug)]
struct Reading {
    /// Absent once it can tell no more.
    pipe: Option<File>,
    inbox: Inbox,
    begins: bool,
    value: Option<Vec<u8>>,
    failure: Option<v1::Failure>,
    not_applied: Vec<String>,
}

/// Ids of this process's workers: which process it is, by a random number, and how many came before.
fn next_id() -> WorkerId {
    static INSTANCE: OnceLock<u64> = OnceLock::new();
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    WorkerId {
        instance: *INSTANCE.get_or_init(|| RandomState::new().build_hasher().finish()),
        counter: COUNTER.fetch_add(1, Ordering::Relaxed),
    }
}

impl Worker {
    /// Executes the program and gives it its assignment; returns when it has begun.
    pub(crate) fn start(
        mut options: Options,
        task: Task,
        parent: v1::Parent,
    ) -> Result<(Self, Pipes), Error> {
        freeze::check()?;
        refuse(&options)?;
        let program = settings::executable()?;
        let failed = |error| Error::system(format!("executing {}", program.display()), error);
        let (streams, pipes) = options.streams()?;
        let (assignment, mut to_worker) = io::pipe().map_err(failed)?;
        let (from_worker, reports) = io::pipe().map_err(failed)?;
        let given = [
            Given::of(assignment.as_handle()).map_err(failed)?,
            Given::of(reports.as_handle()).map_err(failed)?,
        ];
        let variable = stream::variable(given[0].number(), given[1].number());
        let begun = Instant::now();
        let child =
            execute(&program, &options, &task, &streams, &given, variable).map_err(failed)?;
        // Only the worker has these ends from here on.
        drop((streams, given, assignment, reports));
        let id = next_id();
        let worker = Self {
            id,
            pid: child.pid().cast_signed(),
            child,
            begun,
            told: Mutex::new(Reading {
                pipe: Some(OwnedHandle::from(from_worker).into()),
                inbox: Inbox::default(),
                begins: false,
                value: None,
                failure: None,
                not_applied: Vec::new(),
            }),
            exit: OnceLock::new(),
        };
        let (task, argument) = assigned(task);
        let assignment = Assignment {
            task: Some(AssignedTask { task: Some(task) }),
            name: options.name.take().unwrap_or_default(),
            id: Some(id),
            parent: Some(parent),
            ..Assignment::default()
        };
        // A worker that has ended already tells why below.
        let _ = stream::send_assignment(&mut to_worker, &assignment);
        worker.expect_begin(&program)?;
        if let Some(argument) = argument {
            // As above: its exit is told when it is waited for.
            let _ = stream::send_argument(&mut to_worker, &argument);
        }
        Ok((worker, pipes))
    }

    fn expect_begin(&self, program: &Path) -> Result<(), Error> {
        let bad = |why: String| Error::BadProgram {
            program: program.to_owned(),
            why,
        };
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let ended = wait(self.child.handle(), Some(STARTING))
                .map_err(|error| Error::system("waiting for a worker", error))?;
            let told = self.drain();
            if told.begins {
                return Ok(());
            }
            let failure = told.failure.as_ref().map(|failure| failure.message.clone());
            drop(told);
            if ended {
                return Err(bad(failure.unwrap_or_else(|| {
                    "it ended before it began: it must call freeze_support() first thing in main"
                        .to_owned()
                })));
            }
            if Instant::now() >= deadline {
                // It may have ended just now.
                let _ = self.child.kill(TERMINATED);
                return Err(bad(format!(
                    "it did not say within {} s that it begins: it must call freeze_support() first \
                     thing in main",
                    START_LIMIT.as_secs()
                )));
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, Reading> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what the worker has told, without waiting.
    fn drain(&self) -> MutexGuard<'_, Reading> {
        let mut told = self.told();
        told.drain();
        told
    }

    /// Waits for its end, no longer than `timeout`.
    pub(crate) fn exited_within(&self, timeout: Option<Duration>) -> Result<Option<&Exit>, Error> {
        // A time no clock can tell is no limit.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let endless = timeout.is_none() || deadline.is_none();
        loop {
            if let Some(exit) = self.exit_now() {
                return Ok(Some(exit));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !endless && left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let time = left.unwrap_or(RUNNING).min(RUNNING);
            wait(self.child.handle(), Some(time))
                .map_err(|error| Error::system("waiting for a worker", error))?;
        }
    }

    /// Its exit, when it has ended.
    pub(crate) fn exit_now(&self) -> Option<&Exit> {
        if let Some(exit) = self.exit.get() {
            return Some(exit);
        }
        drop(self.drain());
        let code = self.child.exit_code().ok().flatten()?;
        // What it told last.
        let told = self.drain();
        let how = match code {
            TERMINATED => How::Signaled(v1::Signaled {
                signal: SIGTERM,
                ..v1::Signaled::default()
            }),
            code => How::Code(code.cast_signed()),
        };
        let exit = Exit::new(v1::Exit {
            how: Some(how),
            failure: told.failure.clone(),
            not_applied: told.not_applied.clone(),
            run_time: self.begun.elapsed().try_into().ok(),
            ..v1::Exit::default()
        });
        drop(told);
        Some(self.exit.get_or_init(|| exit))
    }

    /// The encoded result, once.
    pub(crate) fn take_value(&self) -> Option<Vec<u8>> {
        self.told().value.take()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.exit_now().is_none()
    }

    /// Ends it and all it has started. Nothing happens when it has ended.
    pub(crate) fn terminate(&self) -> Result<(), Error> {
        if !self.is_alive() {
            return Ok(());
        }
        self.child
            .kill(TERMINATED)
            .map_err(|error| Error::system("ending a worker", error))
    }

    /// As [`Self::terminate`], when this process is about to end.
    pub(crate) fn terminate_at_end(&self) {
        // Nobody is left to be told.
        let _ = self.child.kill(TERMINATED);
    }

    pub(crate) fn sentinel(&self) -> BorrowedHandle<'_> {
        self.child.handle()
    }
}

impl Reading {
    fn drain(&mut self) {
        let mut bytes = [0; 1 << 16];
        while let Some(pipe) = &mut self.pipe {
            let count = match available(pipe.as_handle()) {
                Ok(0) => return,
                Ok(count) => count.min(bytes.len()),
                // Nobody writes any more.
                Err(_) => {
                    self.pipe = None;
                    return;
                }
            };
            match pipe.read(&mut bytes[..count]) {
                Ok(count) if count > 0 => self.inbox.extend(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                _ => self.pipe = None,
            }
            loop {
                match self.inbox.take() {
                    Ok(Some(told)) => self.hear(told),
                    Ok(None) => break,
                    Err(_) => {
                        self.pipe = None;
                        return;
                    }
                }
            }
        }
    }

    fn hear(&mut self, told: Told) {
        let report = match told {
            Told::Value(value) => {
                self.value = Some(value);
                return;
            }
            Told::Report(report) => report.report,
        };
        match report {
            Some(worker_report::Report::Applied(applied)) => {
                self.begins = true;
                self.not_applied = applied.not_applied;
            }
            Some(worker_report::Report::Failure(failure)) => self.failure = Some(failure),
            Some(worker_report::Report::StartFailed(failed)) => {
                self.failure = Some(v1::Failure {
                    kind: failure::Kind::Start.into(),
                    message: format!("{}: {}", failed.what, failed.message),
                    ..v1::Failure::default()
                });
            }
            Some(worker_report::Report::ExecFailed(_)) | None => {}
        }
    }
}

fn refuse(options: &Options) -> Result<(), Error> {
    let lacks = |what: &str| Error::Unsupported {
        what: what.to_owned(),
        why: "this version does not have it on Windows",
    };
    if options.time_limit.is_some() {
        return Err(lacks("a time limit"));
    }
    if options.detached {
        return Err(lacks("a detached process"));
    }
    Ok(())
}

fn execute(
    program: &Path,
    options: &Options,
    task: &Task,
    streams: &[Option<OwnedHandle>; 3],
    given: &[Given],
    variable: String,
) -> io::Result<Child> {
    let own_name = mpfork_zygote::args_os()
        .next()
        .unwrap_or_else(|| program.as_os_str().to_owned());
    let mut arguments: Vec<&OsStr> = vec![&own_name];
    if let Task::Main { args } = task {
        arguments.extend(args.iter().map(OsString::as_os_str));
    }
    let variables = options.variables((WORKER_ENV, variable));
    let environment: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
        .collect();
    let [input, output, errors] = streams;
    spawn(
        &Launch {
            program,
            arguments: &arguments,
            environment: &environment,
            directory: options.directory.as_deref(),
            streams: [input, output, errors].map(|stream| stream.as_ref().map(AsHandle::as_handle)),
            end_with_owner: options.on_owner_death == OnOwnerDeath::End,
        },
        given,
    )
}

/// The task as it is told, and the argument that follows.
fn assigned(task: Task) -> (assigned_task::Task, Option<Vec<u8>>) {
    match task {
        Task::Function { target, argument } => {
            let function = assigned_task::Function {
                target: Some(target),
                ..assigned_task::Function::default()
            };
            (assigned_task::Task::Function(function), Some(argument))
        }
        // Its arguments are on its command line.
        Task::Main { .. } => (assigned_task::Task::Main(v1::task::Main::default()), None),
    }
}
