//! One fork.

use super::limits::{GRACE, Limits};
use super::peers::FIRST;
use super::reap::Watched;
use super::{ANSWERED, Answered, Fatal, Served, Zygote};
use crate::fresh;
use crate::registry::hook;
use crate::worker::{Born, Kept, NOT_STARTED, become_worker, flush};
use mpfork_proto::link::{Fork, ForkFailed, Forked, zygote_frame};
use mpfork_sys::exit::exit_now;
use mpfork_sys::fork::{ForkError, Forked as Side, fork};
use mpfork_sys::{sentinel, threads};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

/// One for the worker's socket, which would be lost, and the link with it, and one for its pidfd.
const RESERVED: usize = 2;

/// What a worker has of its zygote must not be dropped: it is closed, and its numbers are others' by now.
struct EndIfUnwound;

impl Drop for EndIfUnwound {
    fn drop(&mut self) {
        exit_now(NOT_STARTED);
    }
}

/// A spare is forked in between when there has been something else to do for so long: somebody may be
/// waiting for it by now.
const PATIENCE: Duration = Duration::from_millis(50);

/// A worker that is asked for.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) peer: u64,
    /// What it calls the worker.
    pub(super) worker: u64,
    fresh: bool,
    limits: Limits,
}

impl Ask {
    pub(super) fn new(peer: u64, fork: &Fork) -> Self {
        let duration = |wire: Option<prost_types::Duration>| Duration::try_from(wire?).ok();
        Self {
            peer,
            worker: fork.worker,
            fresh: fork.fresh,
            limits: Limits {
                keep: fork.keep,
                time: duration(fork.time_limit),
                grace: duration(fork.grace).unwrap_or(GRACE),
            },
        }
    }
}

/// A spare that is to be forked when there is nothing else to do, or its turn has come.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) ask: Ask,
    pub(super) socket: OwnedFd,
    pub(super) since: Instant,
}

impl Wanted {
    fn is_overdue(&self) -> bool {
        self.since.elapsed() > PATIENCE
    }

    /// The first whose turn has come though there is something else to do: it has its assignment, so that it is
    /// no spare and somebody waits for it, or it has waited for long.
    pub(super) fn first_due(all: &VecDeque<Self>) -> Option<usize> {
        if all.front()?.is_overdue() {
            return Some(0);
        }
        let wanted = all.iter();
        let mut sockets: Vec<_> = wanted
            .map(|one| PollFd::new(&one.socket, PollFlags::IN))
            .collect();
        // Where that can't be told they are forked at their time.
        rustix::event::poll(&mut sockets, Some(&Timespec::default())).ok()?;
        let is_assigned =
            |flags: PollFlags| flags.contains(PollFlags::IN) && !flags.contains(PollFlags::HUP);
        sockets
            .iter()
            .position(|socket| is_assigned(socket.revents()))
    }
}

impl Zygote {
    /// Holds numbers for the descriptors of the next fork; false when there are not as many.
    pub(super) fn reserve(&mut self) -> bool {
        while self.reserved.len() < RESERVED {
            match self.children.as_fd().try_clone_to_owned() {
                Ok(number) => self.reserved.push(number),
                Err(_) => return false,
            }
        }
        true
    }

    /// Makes a worker with this socket. In the worker, returns only when that goes on with `main`.
    pub(super) fn fork_worker(&mut self, ask: &Ask, socket: OwnedFd, spare: bool) -> Answered {
        let made = if ask.fresh {
            self.try_spawn(ask.peer, &socket)
        } else {
            self.try_fork(ask.peer)
        };
        let failed = match made {
            Ok(Side::Child) => {
                let born = Born {
                    control: socket,
                    door: self.peers.door.take().map(|door| door.outside),
                    kept: Kept::These(std::mem::take(&mut self.kept)),
                    owner: None,
                    tasks: self.tasks,
                    zygote_group: self.group,
                    hooks: self.hooks,
                    spare,
                };
                self.close_own();
                let unwinding = EndIfUnwound;
                // From here, and not from where the zygote was begun: what lies between is on pages that
                // would be copied, only to be left.
                become_worker(born);
                std::mem::forget(unwinding);
                return Ok(ControlFlow::Break(Served::GoesOnWithMain));
            }
            Ok(Side::Parent(pid)) => {
                self.report_fork(ask, pid)?;
                return ANSWERED;
            }
            Err(failed) => failed,
        };
        let failed = ForkFailed {
            worker: ask.worker,
            ..failed
        };
        let failed = zygote_frame::Frame::ForkFailed(failed);
        self.peers.tell(ask.peer, failed, None)?;
        ANSWERED
    }

    /// Refused to who has told the zygote to leave. Its workers know nothing of that, and while they run it
    /// stays.
    fn check_serving(&self, peer: u64) -> Result<(), ForkFailed> {
        if !self.closing || peer != FIRST {
            return Ok(());
        }
        Err(ForkFailed {
            errno: rustix::io::Errno::SHUTDOWN.raw_os_error(),
            message: "the zygote is leaving".to_owned(),
            ..ForkFailed::default()
        })
    }

    /// Executes the program once more, as a worker.
    fn try_spawn(&mut self, peer: u64, socket: &OwnedFd) -> Result<Side, ForkFailed> {
        self.check_serving(peer)?;
        let door = self.peers.door.as_ref().map(|door| door.outside.as_fd());
        let begun = Instant::now();
        let pid = fresh::spawn(socket.as_fd(), door);
        self.fork_time = begun.elapsed();
        pid.map(Side::Parent).map_err(|error| ForkFailed {
            errno: error.raw_os_error().unwrap_or(0),
            message: format!("executing the program: {error}"),
            ..ForkFailed::default()
        })
    }

    fn try_fork(&mut self, peer: u64) -> Result<Side, ForkFailed> {
        self.check_serving(peer)?;
        let begun = Instant::now();
        for hook in &self.hooks.before_fork {
            hook::run(hook).map_err(|error| ForkFailed {
                message: error.fault().line(),
                hook: error.hook().to_owned(),
                ..ForkFailed::default()
            })?;
        }
        if !self.hooks.before_fork.is_empty() {
            // What they left in buffers would be written once more by each worker. The preloads' own
            // was written out before Ready; looking again would cost each fork some copied pages.
            flush();
        }
        let forked = fork();
        if !matches!(forked, Ok(Side::Child)) {
            self.fork_time = begun.elapsed();
            if let Some(keeper) = &mut self.keeper {
                keeper.forked();
            }
        }
        forked.map_err(|error| match error {
            ForkError::Threads(threads::ManyThreads { names }) => ForkFailed {
                message: format!(
                    "the zygote has threads, and a process with threads can't be forked: {}",
                    names.join(", ")
                ),
                threads: names,
                ..ForkFailed::default()
            },
            ForkError::System(error) => ForkFailed {
                errno: error.raw_os_error().unwrap_or(0),
                message: format!("fork: {error}"),
                ..ForkFailed::default()
            },
        })
    }

    fn report_fork(&mut self, ask: &Ask, pid: i32) -> Result<(), Fatal> {
        let peers = &self.peers;
        let watched = Watched::new(ask.peer, ask.worker, ask.limits);
        self.reaper.watch(pid, watched, &mut |peer, exited| {
            peers.tell_exit(peer, exited)
        })?;
        // The worker does so too; whoever comes first, the group exists when the fork is reported.
        // Refused to the second when the worker has made a session, executed something or ended.
        let process = Pid::from_raw(pid);
        let _ = rustix::process::setpgid(process, process);
        // Not waited for yet, the pid can't be another's. Out of descriptors, one is given up for this.
        let opened = sentinel::open(pid).or_else(|_| {
            self.reserved.clear();
            sentinel::open(pid)
        });
        let (frame, pidfd) = match opened {
            Ok(opened) => {
                let forked = Forked {
                    worker: ask.worker,
                    pid,
                    took: self.fork_time.try_into().ok(),
                };
                (
                    zygote_frame::Frame::Forked(forked),
                    sentinel::to_pass(opened),
                )
            }
            // Nobody could watch or signal such a worker, so there is none.
            Err(error) => {
                if let Some(process) = process {
                    let _ = rustix::process::kill_process(process, Signal::KILL);
                }
                let failed = ForkFailed {
                    worker: ask.worker,
                    errno: error.raw_os_error().unwrap_or(0),
                    message: format!("pidfd_open: {error}"),
                    ..ForkFailed::default()
                };
                (zygote_frame::Frame::ForkFailed(failed), None)
            }
        };
        Ok(self.peers.tell(ask.peer, frame, pidfd)?)
    }
}
