//! A zygote's life: it greets its supervisor, loads its preloads, then forks workers and reaps them
//! until the supervisor has no more use for it.

mod fork_worker;
mod handshake;
mod limits;
mod link;
mod peers;
mod preload;
mod reap;
mod snapshot;

use crate::compact::Keeper;
use crate::panics;
use crate::registry::hook::{self, Hooks};
use crate::wire::{self, WireError};
use fork_worker::{Ask, Wanted};
use link::Link;
use mpfork_proto::link::{
    PreloadFailed, SupervisorFrame, ZygoteFrame, supervisor_frame, zygote_frame,
};
use mpfork_sys::child_ends::ChildEnds;
use mpfork_sys::threads::ManyThreads;
use nix::unistd::Pid;
use peers::{Asking, FIRST, Peers};
pub use reap::rusage;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::collections::VecDeque;
use std::ffi::CString;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
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

/// Serves a supervisor. Returns only in workers that go on with `main`.
pub(crate) fn serve(link: OwnedFd, tasks: Tasks) {
    panics::install();
    // What the program was started with is not the zygote's, which may outlive it.
    mpfork_sys::descriptors::close_inherited();
    show_as_program();
    let link = Link::new(link);
    let served = Zygote::start(link, tasks).and_then(|mut zygote| {
        let served = zygote.run();
        if matches!(served, Ok(Served::GoesOnWithMain)) {
            // What it had open is closed. To free its memory would copy pages, to note on them that they
            // are free.
            std::mem::forget(zygote);
        }
        // Otherwise it is dropped: its link ends before its exit handlers run, which have only so much time.
        served
    });
    match served {
        Ok(Served::GoesOnWithMain) => {}
        Ok(Served::ToTheEnd) => leave(0),
        Err(fatal) => {
            // Nobody may be reading any more; there is no one else to tell.
            let _ = writeln!(io::stderr(), "mpfork zygote: {fatal}");
            leave(1)
        }
    }
}

/// Has ps(1) show this process as if its program had been executed as usual. Executed by descriptor it is
/// named after a number, and gets its program's name; room for workers' arguments is not shown.
pub(crate) fn show_as_program() {
    mpfork_sys::title::hide_room();
    let Some(program) = std::env::args_os().next() else {
        return;
    };
    let name = Path::new(&program).file_name().unwrap_or(&program);
    // The system keeps the first 15 bytes.
    if let Ok(name) = CString::new(name.as_bytes()) {
        let _ = mpfork_sys::own_process::set_name(&name);
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

/// How serving has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// There is nothing left to do.
    ToTheEnd,
    /// This is a worker, and no other than the program's own `main` is its task.
    GoesOnWithMain,
}

/// What has been done of what was asked for.
type Answered = Result<ControlFlow<Served>, Fatal>;

/// What was done in this process, which stays the zygote.
const ANSWERED: Answered = Ok(ControlFlow::Continue(()));

/// A zygote that has loaded its preloads.
struct Zygote {
    peers: Peers,
    /// Read, but not answered yet: by whom, and what came with it.
    asked: VecDeque<(u64, SupervisorFrame, Option<OwnedFd>)>,
    children: ChildEnds,
    reaper: reap::Reaper,
    hooks: &'static Hooks,
    kept: Vec<RawFd>,
    /// Given up for the descriptors of a fork.
    reserved: Vec<OwnedFd>,
    /// Spares to fork, in this order; refused when the zygote is to leave.
    wanted: VecDeque<Wanted>,
    /// What the last fork took.
    fork_time: Duration,
    /// Where it is worth the while.
    keeper: Option<Keeper>,
    tasks: Tasks,
    group: Pid,
    closing: bool,
}

impl Zygote {
    /// Everything up to Ready. The supervisor's end at any time before ends the process. The stack that this
    /// takes is not to be part of what serving takes, of which each fork has the pages copied.
    #[inline(never)]
    fn start(link: Link, tasks: Tasks) -> Result<Self, Fatal> {
        rustix::process::chdir("/").map_err(|error| Fatal::System("chdir", error.into()))?;
        // What mpforkd's spawning left ignored, every worker would inherit.
        mpfork_sys::signals::reset_internal().map_err(|error| Fatal::System("sigaction", error))?;
        let mut inbox = wire::Inbox::default();
        let Some(greeting) = handshake::handshake(&link, &mut inbox)? else {
            leave(0);
        };
        let Some(preloaded) = preload::preload(&link, &mut inbox)? else {
            leave(0);
        };
        let hooks = hook::all().map_err(|error| Fatal::Preload(error.to_string()))?;
        crate::worker::prepare(hooks);
        link.do_not_block()
            .map_err(|error| Fatal::System("ioctl", error))?;
        let preload::Preloaded {
            kept,
            ready,
            keeper,
        } = preloaded;
        let handshake::Greeting {
            hello,
            welcome,
            owner,
            door,
        } = greeting;
        Ok(Self {
            peers: Peers::new(link, inbox, owner, door, (welcome, ready)),
            asked: VecDeque::new(),
            // Not before: what preloads start must not inherit a blocked signal.
            children: ChildEnds::watch().map_err(|error| Fatal::System("signalfd", error))?,
            reaper: reap::Reaper::new(hello.end_groups, hello.embedded),
            hooks,
            kept,
            reserved: Vec::new(),
            wanted: VecDeque::new(),
            fork_time: Duration::ZERO,
            keeper,
            tasks,
            group: nix::unistd::getpgrp(),
            closing: false,
        })
    }

    /// In a worker: closes what is the zygote's, whose end others wait for. What had it open is of no more
    /// use, and must not be dropped.
    fn close_own(&self) {
        let mut close = |number| {
            let _ = nix::unistd::close(number);
        };
        close(self.children.as_fd().as_raw_fd());
        let wanted = self.wanted.iter().map(|wanted| &wanted.socket);
        let asked = self.asked.iter().filter_map(|(_, _, came)| came.as_ref());
        for own in self.reserved.iter().chain(wanted).chain(asked) {
            close(own.as_raw_fd());
        }
        self.peers.own(&mut close);
    }

    /// Serves until there is nothing left to do. Returns in a worker, too, that goes on with `main`.
    #[inline(never)]
    fn run(&mut self) -> Result<Served, Fatal> {
        let mut left_alone = false;
        loop {
            let room = self.reserve();
            for gone in self.peers.take_gone() {
                self.reaper.owner_ended(gone);
                if gone == FIRST {
                    self.wanted.clear();
                    left_alone = true;
                }
            }
            let closing = self.closing || !self.peers.has_first();
            if closing && self.wanted.is_empty() && self.reaper.is_idle() {
                return Ok(Served::ToTheEnd);
            }
            if std::mem::take(&mut left_alone) {
                let_go_of_output();
            }
            let (asking, ended) = self.wait()?;
            if ended {
                self.children.read(|pid| self.reaper.note(pid));
            }
            self.reaper.reap(Instant::now(), &mut |peer, exited| {
                self.peers.tell_exit(peer, exited)
            })?;
            // Exits have been told: a fork that lasts would hold them up. Out of numbers, what is wanted
            // makes room: each holds one until it is forked. Else it takes turns with what is asked.
            let idle = asking.is_nothing();
            self.keep_compact(idle && !ended)?;
            let next = if idle || !room {
                Some(0)
            } else {
                Wanted::first_due(&self.wanted)
            };
            if let Some(wanted) = next.and_then(|next| self.wanted.remove(next))
                && let ControlFlow::Break(served) =
                    self.fork_worker(&wanted.ask, wanted.socket, true)?
            {
                return Ok(served);
            }
            if let ControlFlow::Break(served) = self.attend(asking)? {
                return Ok(served);
            }
        }
    }

    /// Waits until somebody asks something or a child ends.
    fn wait(&self) -> Result<(Asking, bool), Fatal> {
        let now = Instant::now();
        let timeout = match self.wanted.is_empty() {
            true => self.reaper.next(now),
            false => Some(Duration::ZERO),
        };
        let tend = self.keeper.as_ref().and_then(|keeper| keeper.next(now));
        let timeout = timeout.into_iter().chain(tend).min().map(timespec);
        let mut polled = vec![PollFd::new(&self.children, PollFlags::IN)];
        self.peers.polled(&mut polled);
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, timeout.as_ref()))
            .map_err(|error| Fatal::System("poll", error.into()))?;
        let mut ready = polled.iter().map(|polled| !polled.revents().is_empty());
        let ended = ready.next() == Some(true);
        Ok((self.peers.ready(ready), ended))
    }

    /// Puts memory together again that writes have scattered, when there is nothing else to do.
    fn keep_compact(&mut self, idle: bool) -> Result<(), Fatal> {
        let Some(keeper) = &mut self.keeper else {
            return Ok(());
        };
        if !idle || !self.wanted.is_empty() {
            keeper.disturbed();
        } else if let Some(news) = keeper.tend(|| self.reaper.oldest()) {
            let news = zygote_frame::Frame::Compaction(news);
            self.peers.tell(FIRST, news, None)?;
        }
        Ok(())
    }

    /// Sees to all who ask.
    fn attend(&mut self, asking: Asking) -> Answered {
        for id in asking.ended {
            if let Some(peer) = self.peers.get(id) {
                peer.link.close();
            }
        }
        if asking.door {
            // For the descriptors that come in.
            self.reserved.clear();
            let knocking = self.peers.at_door();
            // Not when there would be none left for those that are inside.
            if self.reserve()
                && let Some((link, owner)) = knocking
            {
                self.peers.admit(link, owner);
            }
        }
        for id in asking.peers {
            // For the descriptor that comes with a fork.
            self.reserved.pop();
            let Some(peer) = self.peers.get(id) else {
                continue;
            };
            match peer.receive(&mut self.asked) {
                Ok(()) => {}
                // What one of many has sent is its own trouble.
                Err(_) if id != FIRST => {
                    peer.link.close();
                    self.asked.clear();
                }
                Err(fatal) => return Err(fatal),
            }
            while let Some((peer, frame, descriptor)) = self.asked.pop_front() {
                if let ControlFlow::Break(served) = self.answer(peer, frame, descriptor)? {
                    return Ok(ControlFlow::Break(served));
                }
            }
        }
        ANSWERED
    }

    fn answer(
        &mut self,
        peer: u64,
        frame: SupervisorFrame,
        descriptor: Option<OwnedFd>,
    ) -> Answered {
        let out_of_turn = match frame.frame {
            Some(supervisor_frame::Frame::Fork(fork)) => {
                let Some(socket) = descriptor else {
                    return self.refuse_peer(peer, Fatal::NoSocket);
                };
                let ask = Ask::new(peer, &fork);
                if !fork.spare {
                    return self.fork_worker(&ask, socket, false);
                }
                self.wanted.push_back(Wanted {
                    ask,
                    socket,
                    since: Instant::now(),
                });
                return ANSWERED;
            }
            Some(supervisor_frame::Frame::Shutdown(_)) if peer == FIRST => {
                self.closing = true;
                return ANSWERED;
            }
            Some(supervisor_frame::Frame::Shutdown(_)) => "a shutdown",
            Some(supervisor_frame::Frame::Hello(_)) => "a greeting",
            Some(supervisor_frame::Frame::Preload(_)) => "a list of preloads",
            None => "a frame of an unknown kind",
        };
        self.refuse_peer(peer, Fatal::OutOfTurn(out_of_turn))
    }

    /// Nonsense from who executed the zygote ends it; of others it ends their link.
    fn refuse_peer(&mut self, peer: u64, fatal: Fatal) -> Answered {
        if peer == FIRST {
            return Err(fatal);
        }
        if let Some(peer) = self.peers.get(peer) {
            peer.link.close();
        }
        ANSWERED
    }
}

/// Whoever reads what the program prints waits for all who may write to it. What a zygote does whose
/// supervisor has ended is for its workers alone.
fn let_go_of_output() {
    for number in 1..=2 {
        // Without a null device it stays as it is.
        if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
            let _ = mpfork_sys::descriptors::place(null.into(), number);
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
