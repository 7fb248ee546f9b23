//! The ways in which a worker of the soak ends, and what must be told of each.

use super::PATIENCE;
use anyhow::{Context as _, bail, ensure};
use mpfork::api::{Client, Function, StartState, Task, WorkerRequest};
use mpfork::{Exit, FailureKind};
use mpfork_proto::BUILTIN_TEMPLATE;
use mpfork_proto::reason::Reason;
use rand::rngs::StdRng;
use rand::{Rng as _, seq::IndexedRandom as _};
use std::time::Duration;

/// How a worker is to end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Nothing,
    Code(u8),
    Signal(i32),
    Panic,
    Error,
    TimedOut,
    DeafTimedOut,
    Killed,
    Command(u8),
    RealTimeSignal,
    Leftovers,
    NoSuchProgram,
}

/// Signals that end a process and dump no core.
const SIGNALS: [i32; 6] = [1, 2, 9, 10, 14, 15];
const LIMIT: Duration = Duration::from_millis(30);

impl Ending {
    /// One of them: those that take long are rare.
    pub(super) fn random(random: &mut StdRng) -> Self {
        let signal = SIGNALS.choose(random).copied().unwrap_or(9);
        match random.random_range(0..100) {
            0..30 => Self::Nothing,
            30..50 => Self::Code(random.random()),
            50..65 => Self::Signal(signal),
            65..73 => Self::Panic,
            73..81 => Self::Error,
            81..84 => Self::TimedOut,
            84..86 => Self::DeafTimedOut,
            86..92 => Self::Killed,
            92..95 => Self::Command(random.random()),
            95..97 => Self::RealTimeSignal,
            97..98 => Self::Leftovers,
            _ => Self::NoSuchProgram,
        }
    }

    /// For the summary.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Nothing => "functions that return",
            Self::Code(_) => "functions that exit with a code",
            Self::Signal(_) => "functions that raise a signal",
            Self::Panic => "functions that panic",
            Self::Error => "functions that fail",
            Self::TimedOut => "time limits",
            Self::DeafTimedOut => "time limits of workers that ignore TERM",
            Self::Killed => "functions killed by their client",
            Self::Command(_) => "commands that exit with a code",
            Self::RealTimeSignal => "commands ended by a real-time signal",
            Self::Leftovers => "commands that leave a process behind",
            Self::NoSuchProgram => "commands that can't be executed",
        }
    }

    /// Starts a worker that ends so, and checks what is told of it.
    pub(super) async fn run(self, client: &Client, template: &str) -> anyhow::Result<()> {
        let request = self.request(template)?;
        let started = tokio::time::timeout(PATIENCE, client.run_worker(&request)).await;
        let started = started.context("no answer to a start")?;
        if matches!(self, Self::NoSuchProgram) {
            let reason = started.err().and_then(|error| error.reason());
            ensure!(reason == Some(Reason::ExecFailed), "refused for {reason:?}");
            return Ok(());
        }
        let mut running = started?;
        if matches!(self, Self::Killed) {
            let worker = running.started.worker;
            ensure!(
                client.signal_worker(worker, 9, true).await?,
                "not there to kill"
            );
        }
        let exit = tokio::time::timeout(PATIENCE, running.exited()).await;
        let exit = exit.context("no exit")??;
        self.check(&exit)
            .with_context(|| format!("{self:?} ended {exit:?}"))
    }

    fn check(self, exit: &Exit) -> anyhow::Result<()> {
        let failure = exit.failure().map(|failure| failure.kind);
        let told = (exit.exitcode(), exit.timed_out(), failure);
        let expected = match self {
            Self::Nothing => (0, None, None),
            Self::Code(code) | Self::Command(code) => (i32::from(code), None, None),
            Self::Signal(signal) => (-signal, None, None),
            Self::Panic => (1, None, Some(FailureKind::Panic)),
            Self::Error => (1, None, Some(FailureKind::Error)),
            Self::TimedOut => (-15, Some(LIMIT), None),
            // Its limit may have found it before it was deaf.
            Self::DeafTimedOut if exit.exitcode() == -15 => (-15, Some(LIMIT), None),
            Self::DeafTimedOut => (-9, Some(LIMIT), None),
            Self::Killed => (-9, None, None),
            Self::RealTimeSignal => (-40, None, None),
            Self::Leftovers => (7, None, None),
            Self::NoSuchProgram => bail!("it ran"),
        };
        ensure!(told == expected, "expected {expected:?}, told {told:?}");
        let leftovers = usize::from(matches!(self, Self::Leftovers));
        ensure!(exit.leftovers().count() == leftovers, "wrong leftovers");
        Ok(())
    }

    fn request(self, template: &str) -> anyhow::Result<WorkerRequest> {
        let nothing = rmp_serde::to_vec(&())?;
        let function = |name, argument| task_of(template, name, argument);
        Ok(match self {
            Self::Nothing => function("soak-nothing", nothing),
            Self::Code(code) => function("soak-exit", rmp_serde::to_vec(&i32::from(code))?),
            Self::Signal(signal) => function("soak-raise", rmp_serde::to_vec(&signal)?),
            Self::Panic => function("soak-panic", nothing),
            Self::Error => function("soak-fail", nothing),
            Self::Killed => function("soak-hang", nothing),
            Self::TimedOut => WorkerRequest {
                time_limit: Some(LIMIT),
                ..function("soak-hang", nothing)
            },
            Self::DeafTimedOut => WorkerRequest {
                time_limit: Some(LIMIT),
                grace: Some(LIMIT),
                ..function("soak-deaf", nothing)
            },
            Self::Command(code) => shell(&format!("exit {code}")),
            Self::RealTimeSignal => shell("kill -40 $$"),
            Self::Leftovers => shell("sleep 600 & exit 7"),
            Self::NoSuchProgram => command("/nowhere/at/all", &[]),
        })
    }
}

fn task_of(template: &str, name: &str, argument: Vec<u8>) -> WorkerRequest {
    let task = Task::Function {
        function: Function::Name(name.to_owned()),
        argument,
        channel: None,
    };
    quiet(WorkerRequest::new(template, task))
}

/// A function that does not end by itself.
pub(super) fn hanging(template: &str) -> anyhow::Result<WorkerRequest> {
    Ok(task_of(template, "soak-hang", rmp_serde::to_vec(&())?))
}

fn shell(script: &str) -> WorkerRequest {
    command("/bin/sh", &["-c", script])
}

fn command(program: &str, args: &[&str]) -> WorkerRequest {
    let task = Task::Command {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        arg0: None,
    };
    quiet(WorkerRequest::new(BUILTIN_TEMPLATE, task))
}

/// With nothing of this process: what panics print is nobody's interest here.
fn quiet(request: WorkerRequest) -> WorkerRequest {
    WorkerRequest {
        state: StartState::default(),
        ..request
    }
}
