//! Contenders, each in a process of its own: fork and posix_spawn in one that has one thread, as the
//! ones that fork for a living do, and no more memory than is preloaded; and a program that uses the
//! crate, by each of its ways. It is this program executed anew, and is asked over its standard input.

use super::contender::{Batch, Contender, Done, Figure, PRELOAD_ENV, now_ns, run_batch, run_each};
use super::worker::Workers;
use anyhow::{Context as _, bail, ensure};
use mpfork::{Context, ServerChoice, StartMethod, get_context};
use mpfork_sys::exit::exit_now;
use mpfork_sys::fork::{Forked, fork};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// How the helper makes a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Way {
    /// fork, _exit, waitpid. The fork looks first whether there is one thread: one stat, 1 to 2 µs.
    Fork,
    /// [`Command`] of `true`: the standard library uses `posix_spawn` for a command as plain as this.
    PosixSpawn,
    /// By the daemon at this socket, which forks each worker when it is started.
    Mpforkd(PathBuf),
    /// By the daemon at this socket, which forks workers ahead.
    MpforkdSpares(PathBuf),
    /// By a forkserver of the helper's own.
    Embedded,
    /// By the crate's start method `spawn`.
    MpforkSpawn,
    /// By the crate's start method `fork`.
    MpforkFork,
}

impl Way {
    /// The context of the crate by which it makes workers, if it is the crate that does.
    fn context(&self) -> Result<Option<Context>, mpfork::Error> {
        let forkserver = || get_context(StartMethod::ForkServer);
        Ok(Some(match self {
            Self::Fork | Self::PosixSpawn => return Ok(None),
            Self::Mpforkd(socket) | Self::MpforkdSpares(socket) => {
                forkserver()?.with_socket(socket)
            }
            Self::Embedded => forkserver()?.with_server(ServerChoice::Embedded),
            Self::MpforkSpawn => get_context(StartMethod::Spawn)?,
            Self::MpforkFork => get_context(StartMethod::Fork)?,
        }))
    }
}

/// The process that does it.
pub(super) struct Helper {
    way: Way,
    preload_mb: u32,
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Helper {
    pub(super) fn start(way: Way, preload_mb: u32) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--helper")
            .env(PRELOAD_ENV, preload_mb.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start the helper")?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the helper has no pipes");
        };
        Ok(Self {
            way,
            preload_mb,
            process,
            requests,
            answers: BufReader::new(answers),
        })
    }
}

impl Contender for Helper {
    fn name(&self) -> &'static str {
        match self.way {
            Way::Fork => "raw",
            Way::PosixSpawn => "posix_spawn",
            Way::Mpforkd(_) => "mpforkd",
            Way::MpforkdSpares(_) => "mpforkd-spares",
            Way::Embedded => "embedded",
            Way::MpforkSpawn => "mpfork-spawn",
            Way::MpforkFork => "mpfork-fork",
        }
    }

    fn preload_mb(&self) -> u32 {
        self.preload_mb
    }

    fn what(&self) -> &'static str {
        match self.way {
            Way::Fork => "fork, _exit and waitpid in a process of one thread",
            Way::PosixSpawn => "std::process::Command of `true`, by posix_spawn, and wait",
            Way::Mpforkd(_) => {
                "a worker of a running mpforkd, from the request until its exit is known"
            }
            Way::MpforkdSpares(_) => "the same where workers are forked ahead, as by default",
            Way::Embedded => "a worker of a forkserver of the program's own",
            Way::MpforkSpawn => "a worker by start method spawn, which executes the program",
            Way::MpforkFork => "a worker by start method fork, of a program of one thread",
        }
    }

    fn figures(&self) -> &'static [(Figure, u32)] {
        const ALL: [(Figure, u32); 3] = [
            (Figure::ExitKnown, 1),
            (Figure::ExitKnown, 16),
            (Figure::FirstInstruction, 1),
        ];
        match self.way {
            // What it executes is not ours.
            Way::PosixSpawn => &ALL[..2],
            _ => &ALL,
        }
    }

    fn run(&mut self, batch: Batch) -> anyhow::Result<Done> {
        let mut request = serde_json::to_vec(&(&self.way, batch))?;
        request.push(b'\n');
        self.requests.write_all(&request)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        serde_json::from_str(&answer).with_context(|| format!("the helper ended: {}", self.name()))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It is between two batches, or something has failed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the helper does: answers until nobody asks any more. Before it forks, `preload` has it load what a
/// zygote would.
pub(super) fn serve(preload: fn()) -> anyhow::Result<()> {
    let trivial = ["/bin/true", "/usr/bin/true"]
        .into_iter()
        .find(|path| std::fs::exists(path).unwrap_or(false))
        .context("there is no program /bin/true")?;
    let mut workers = None;
    for line in std::io::stdin().lock().lines() {
        let (way, batch): (Way, Batch) = serde_json::from_str(&line?)?;
        if matches!(way, Way::Fork | Way::MpforkFork) {
            preload();
        }
        if workers.is_none()
            && let Some(context) = way.context()?
        {
            workers = Some(Workers::new(context)?);
        }
        let done = match (&workers, way) {
            (Some(workers), _) => workers.run(batch)?,
            (None, Way::Fork) => match batch.figure {
                Figure::ExitKnown => run_batch(batch, start_fork, wait_fork)?,
                Figure::FirstInstruction => run_each(batch, fork_and_tell)?,
            },
            (None, _) => run_batch(
                batch,
                || Ok(Command::new(trivial).spawn()?),
                |mut child| {
                    let status = child.wait()?;
                    ensure!(status.success(), "{trivial}: {status}");
                    Ok(())
                },
            )?,
        };
        println!("{}", serde_json::to_string(&done)?);
    }
    Ok(())
}

fn start_fork() -> anyhow::Result<i32> {
    match fork() {
        Ok(Forked::Child) => exit_now(0),
        Ok(Forked::Parent(pid)) => Ok(pid),
        Err(error) => bail!("can't fork: {error:?}"),
    }
}

/// A child that tells when it began.
fn fork_and_tell() -> anyhow::Result<u64> {
    let (mut told, mut tell) = std::io::pipe()?;
    let asked = now_ns();
    match fork() {
        Ok(Forked::Child) => {
            let began = now_ns();
            let _ = tell.write_all(&began.to_ne_bytes());
            exit_now(0)
        }
        Ok(Forked::Parent(pid)) => {
            let mut began = [0; 8];
            told.read_exact(&mut began)?;
            wait_fork(pid)?;
            Ok(u64::from_ne_bytes(began).saturating_sub(asked))
        }
        Err(error) => bail!("can't fork: {error:?}"),
    }
}

fn wait_fork(pid: i32) -> anyhow::Result<()> {
    match waitpid(Pid::from_raw(pid), None)? {
        WaitStatus::Exited(_, 0) => Ok(()),
        other => bail!("a child that does nothing ended so: {other:?}"),
    }
}
