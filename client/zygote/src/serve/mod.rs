//! A zygote's life: it greets its supervisor, loads its preloads, then forks workers and reaps them
//! until the supervisor has no more use for it.

mod fork_worker;
mod handshake;
mod preload;
mod reap;
mod snapshot;

use crate::panics;
use crate::registry::hook::{self, Hooks};
use crate::wire::{self, Inbox, WireError};
use crate::worker::Born;
use fork_worker::Wanted;
use mpfork_proto::link::{
    PreloadFailed, SupervisorFrame, ZygoteFrame, supervisor_frame, zygote_frame,
};
use mpfork_sys::threads::ManyThreads;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::CString;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a zygote's workers may be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tasks {
    /// The program's functions and `main`, and commands.
    All,
    /// Commands only.
    Commands,
}

/// Why a zygote gives up.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error("the link is of no more use: {0}")]
    Link(#[from] WireError),
    #[error("the supervisor sent {0} out of turn")]
    OutOfTurn(&'static str),
    #[error("a fork came without the worker's socket")]
    NoSocket,
    #[error("the supervisor speaks versions {0} to {1} of the link, and this program others")]
    Version(u32, u32),
    #[error("preload failed: {0}")]
    Preload(String),
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

/// The socket to the supervisor, until the supervisor is gone.
#[derive(Debug, Clone)]
struct Link(Rc<LinkState>);

#[derive(Debug)]
struct LinkState {
    socket: OwnedFd,
    open: Cell<bool>,
}

impl Link {
    fn new(socket: OwnedFd) -> Self {
        Self(Rc::new(LinkState {
            socket,
            open: Cell::new(true),
        }))
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.0.socket.as_fd()
    }

    fn is_open(&self) -> bool {
        self.0.open.get()
    }

    /// Tells the supervisor, unless it is gone.
    fn send(
        &self,
        frame: zygote_frame::Frame,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), WireError> {
        if !self.is_open() {
            return Ok(());
        }
        let frame = ZygoteFrame {
            descriptors: u32::from(descriptor.is_some()),
            frame: Some(frame),
        };
        self.unless_gone(wire::send(self.socket(), &frame, descriptor.as_slice()), ())
    }

    /// Reads what the supervisor has sent.
    fn fill(&self, inbox: &mut Inbox) -> Result<(), WireError> {
        if !self.unless_gone(inbox.fill(self.socket()), false)? {
            self.0.open.set(false);
        }
        Ok(())
    }

    /// The supervisor's next frame; `None` when it has gone.
    fn receive(&self, inbox: &mut Inbox) -> Result<Option<SupervisorFrame>, WireError> {
        self.unless_gone(inbox.receive(self.socket()), None)
    }

    fn unless_gone<T>(&self, result: Result<T, WireError>, gone: T) -> Result<T, WireError> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match result {
            Err(WireError::Io(error)) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                self.0.open.set(false);
                Ok(gone)
            }
            other => other,
        }
    }

    fn hung_up(&self) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(self.socket(), PollFlags::IN)];
        let none = Timespec::default();
        let polls = rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&none)));
        polls.is_ok() && polled[0].revents().contains(PollFlags::HUP)
    }
}

/// Serves a supervisor. Returns in workers only.
pub(crate) fn serve(link: OwnedFd, tasks: Tasks) -> Born {
    panics::install();
    name_process();
    mpfork_sys::title::hide_room();
    let link = Link::new(link);
    match Zygote::start(link, tasks).and_then(Zygote::run) {
        Ok(Some(born)) => born,
        Ok(None) => leave(0),
        Err(fatal) => {
            // Nobody may be reading any more; there is no one else to tell.
            let _ = writeln!(io::stderr(), "mpfork zygote: {fatal}");
            leave(1)
        }
    }
}

/// Executed by descriptor, the process is named after a number: it gets its program's name.
fn name_process() {
    let Some(program) = std::env::args_os().next() else {
        return;
    };
    let name = Path::new(&program).file_name().unwrap_or(&program);
    // The system keeps the first 15 bytes.
    if let Ok(name) = CString::new(name.as_bytes()) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Ends the zygote as any program ends: handlers that preloads registered run here, and only here.
#[allow(clippy::exit)]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

/// Tells a supervisor that this process can't be a zygote because it has threads.
pub(crate) fn refuse(link: BorrowedFd<'_>, threads: &ManyThreads) {
    let failed = PreloadFailed {
        message: "the program started threads before it called freeze_support()".to_owned(),
        threads: threads.names.clone(),
        ..PreloadFailed::default()
    };
    send_failed(link, failed);
}

/// The last words of a process; whether they arrive or not, it ends.
fn send_failed(link: BorrowedFd<'_>, failed: PreloadFailed) {
    let frame = ZygoteFrame {
        descriptors: 0,
        frame: Some(zygote_frame::Frame::PreloadFailed(failed)),
    };
    let _ = wire::send(link, &frame, &[]);
}

/// A zygote that has loaded its preloads.
struct Zygote {
    link: Link,
    inbox: Inbox,
    children: SignalFd,
    reaper: reap::Reaper,
    hooks: &'static Hooks,
    kept: Vec<RawFd>,
    /// Given up for the descriptors of a fork.
    reserved: Vec<OwnedFd>,
    /// Spares to fork, in this order; refused when the zygote is to leave.
    wanted: VecDeque<Wanted>,
    /// What the last fork took.
    fork_time: Duration,
    tasks: Tasks,
    group: Pid,
    closing: bool,
}

impl Zygote {
    /// Everything up to Ready. The supervisor's end at any time before ends the process.
    fn start(link: Link, tasks: Tasks) -> Result<Self, Fatal> {
        rustix::process::chdir("/").map_err(|error| Fatal::System("chdir", error.into()))?;
        // What mpforkd's spawning left ignored, every worker would inherit.
        mpfork_sys::signals::reset_internal().map_err(|error| Fatal::System("sigaction", error))?;
        let mut inbox = Inbox::default();
        let Some(hello) = handshake::handshake(&link, &mut inbox)? else {
            leave(0);
        };
        let Some(kept) = preload::preload(&link, &mut inbox)? else {
            leave(0);
        };
        let hooks = hook::all().map_err(|error| Fatal::Preload(error.to_string()))?;
        crate::worker::prepare();
        Ok(Self {
            link,
            inbox,
            children: watch_children().map_err(|errno| Fatal::System("signalfd", errno.into()))?,
            reaper: reap::Reaper::new(hello.end_groups),
            hooks,
            kept,
            reserved: Vec::new(),
            wanted: VecDeque::new(),
            fork_time: Duration::ZERO,
            tasks,
            group: nix::unistd::getpgrp(),
            closing: false,
        })
    }

    /// Serves until there is nothing left to do, or returns in a worker.
    fn run(mut self) -> Result<Option<Born>, Fatal> {
        loop {
            let room = self.reserve();
            if !self.link.is_open() {
                self.wanted.clear();
            }
            let closing = self.closing || !self.link.is_open();
            if closing && self.wanted.is_empty() && self.reaper.is_idle() {
                return Ok(None);
            }
            let (asked, ended) = self.wait()?;
            if ended {
                while let Ok(Some(record)) = self.children.read_signal() {
                    self.reaper.note(record.ssi_pid);
                }
            }
            self.reaper.reap(Instant::now(), &mut |exited| {
                self.link.send(zygote_frame::Frame::Exited(exited), None)
            })?;
            // Out of numbers, what is wanted makes room: each holds one until it is forked.
            let idle = !asked && !ended;
            let overdue = self.wanted.front().is_some_and(Wanted::is_overdue);
            if (idle || overdue || !room)
                && let Some(wanted) = self.wanted.pop_front()
                && let Some(born) = self.fork_worker(wanted.worker, wanted.socket, true)?
            {
                return Ok(Some(born));
            }
            if asked {
                // For the descriptor that comes with a fork.
                self.reserved.pop();
                self.link.fill(&mut self.inbox)?;
                while let Some(frame) = self.inbox.take::<SupervisorFrame>()? {
                    if let Some(born) = self.answer(frame)? {
                        return Ok(Some(born));
                    }
                }
            }
        }
    }

    /// Waits until the supervisor asks something or a child ends; which of them.
    fn wait(&self) -> Result<(bool, bool), Fatal> {
        let timeout = if self.wanted.is_empty() {
            self.reaper.next(Instant::now()).map(timespec)
        } else {
            Some(timespec(self.lull()))
        };
        let mut polled = [
            PollFd::new(&self.children, PollFlags::IN),
            PollFd::from_borrowed_fd(self.link.socket(), PollFlags::IN),
        ];
        // A closed link would be ready for ever.
        let count = if self.link.is_open() { 2 } else { 1 };
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled[..count], timeout.as_ref()))
            .map_err(|error| Fatal::System("poll", error.into()))?;
        let ready = |polled: &PollFd<'_>| !polled.revents().is_empty();
        Ok((ready(&polled[1]), ready(&polled[0])))
    }

    fn answer(&mut self, frame: SupervisorFrame) -> Result<Option<Born>, Fatal> {
        let mut descriptors = self.inbox.claim(frame.descriptors)?;
        match frame.frame {
            Some(supervisor_frame::Frame::Fork(fork)) => {
                let worker = fork.worker;
                let socket = descriptors.pop_front().ok_or(Fatal::NoSocket)?;
                if !fork.spare {
                    return self.fork_worker(worker, socket, false);
                }
                self.wanted.push_back(Wanted {
                    worker,
                    socket,
                    since: Instant::now(),
                });
            }
            Some(supervisor_frame::Frame::Shutdown(_)) => self.closing = true,
            Some(supervisor_frame::Frame::Hello(_)) => return Err(Fatal::OutOfTurn("a greeting")),
            Some(supervisor_frame::Frame::Preload(_)) => {
                return Err(Fatal::OutOfTurn("a list of preloads"));
            }
            None => return Err(Fatal::OutOfTurn("a frame of an unknown kind")),
        }
        Ok(None)
    }
}

/// From here on the ends of children are read, not signalled. Not before: what preloads start must
/// not inherit a blocked signal.
fn watch_children() -> nix::Result<SignalFd> {
    if mpfork_sys::signals::is_ignored(Signal::SIGCHLD as i32) {
        // Ignored, the system would reap the workers and forget how they ended.
        mpfork_sys::signals::set_default(Signal::SIGCHLD)?;
    }
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
