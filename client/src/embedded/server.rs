//! One embedded server, as its owner sees it.

use super::Kind;
use super::launch::HELLO_LIMIT;
use super::link::{Frame, Link};
use crate::api::Program;
use crate::error::Error;
use crate::random;
use crate::server::Server;
use crate::settings::{self, OnPreloadError, Preloads};
use mpfork_driver::control::Control;
use mpfork_driver::failed;
use mpfork_proto::link::{
    Exited, Fork, ForkFailed, Inherited, Ready, Shutdown, Welcome, supervisor_frame, zygote_frame,
};
use mpfork_proto::v1::{Compaction, KeptDescriptor, StartWay};
use mpfork_sys::fdpass::{self, CONGESTION_LIMIT, CONGESTION_PAUSE};
use mpfork_sys::reactor::Writable;
use mpfork_sys::{sentinel, wait};
use rustix::process::Signal;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long a zygote may take to fork: what mpforkd's configuration has by default.
pub(super) const FORK_LIMIT: Duration = Duration::from_secs(10);

/// How long a worker's own word is waited for before its zygote's.
const AT_ONCE: Duration = Duration::from_millis(2);

const KILL: i32 = Signal::KILL.as_raw();

/// What became of a Fork.
#[derive(Debug)]
pub(super) enum Answer {
    Forked(i32, OwnedFd),
    /// There was no free number for the worker's pidfd.
    Missed(i32),
    Failed(ForkFailed),
    /// The zygote is gone.
    Gone,
}

/// The exit of one worker, once it is told.
pub(super) type Slot = Arc<OnceLock<Exited>>;

/// What the zygote has told, by the numbers of workers.
#[derive(Debug, Default)]
struct Told {
    /// Absent: the answer is still to come.
    forks: HashMap<u64, Option<Answer>>,
    exits: HashMap<u64, Weak<OnceLock<Exited>>>,
    /// When it told something last.
    heard: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Own {
    /// The process it serves; a forked child has a copy of no use.
    owner: u32,
    /// What people call the program.
    pub(super) name: String,
    pub(super) instance: u64,
    pid: i32,
    /// Absent when another process has executed it.
    process: Option<OwnedFd>,
    link: Arc<Link>,
    functions: HashSet<String>,
    kept: Vec<KeptDescriptor>,
    inherited: Option<Inherited>,
    next: AtomicU64,
    told: Mutex<Told>,
    reaped: OnceLock<()>,
}

/// The process of a zygote that this process has executed.
#[derive(Debug)]
pub(super) struct Executed {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
}

impl Own {
    pub(super) fn new(
        name: String,
        executed: Option<Executed>,
        link: Arc<Link>,
        welcome: Welcome,
        ready: Ready,
    ) -> Self {
        let (pid, process) = match executed {
            Some(Executed { pid, pidfd }) => (pid, Some(pidfd)),
            None => (ready.pid, None),
        };
        let instance = random::number();
        Self {
            owner: std::process::id(),
            name,
            instance,
            pid,
            process,
            link,
            functions: welcome.functions.into_iter().collect(),
            kept: failed::kept(ready.kept_descriptors),
            inherited: ready.inherited,
            next: AtomicU64::new(1),
            told: Mutex::default(),
            reaped: OnceLock::new(),
        }
    }

    pub(super) fn shown(&self) -> Server {
        Server::embedded(self.pid, self.instance)
    }

    pub(super) fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    /// Whether it can be asked. Tidies up after one that has died.
    pub(super) fn is_there(&self) -> bool {
        let ended = || {
            let process = self.process.as_ref().filter(|_| self.is_ours());
            process
                .is_some_and(|process| crate::sentinel::wait(process.as_fd(), Some(Duration::ZERO)))
        };
        if self.link.ended().is_none() && !self.link.hung_up() && !ended() {
            return true;
        }
        // What it has told before is read first.
        self.link.drain(|frame| self.deliver(frame));
        // A process that a preload has forked may hold the other end.
        self.link.close();
        self.link.drain(|frame| self.deliver(frame));
        self.reap();
        false
    }

    /// A zygote that has closed its link is of no more use: it is ended and waited for.
    fn reap(&self) {
        if let Some(process) = &self.process
            && self.is_ours()
            && self.reaped.set(()).is_ok()
        {
            let _ = sentinel::signal(self.pid, process.as_fd(), KILL);
            crate::sentinel::wait(process.as_fd(), None);
            // The program may wait for any child of its own.
            let _ = wait::reap_named(self.pid, process.as_fd());
        }
    }

    /// This process is about to end, and the server with it. One that makes no workers any more is waited
    /// for, so that nobody has to who comes after.
    pub(super) fn leave(&self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let Some(process) = &self.process else {
            return;
        };
        if !self.is_ours() || self.reaped.get().is_some() {
            return;
        }
        self.link.close();
        // A stopped one would stay for ever.
        let _ = sentinel::signal(self.pid, process.as_fd(), Signal::CONT.as_raw());
        if self.told().exits.is_empty() && crate::sentinel::wait(process.as_fd(), Some(PATIENCE)) {
            let _ = wait::reap_named(self.pid, process.as_fd());
        }
    }

    /// Asks it to leave when its last worker has ended; false when that can't be said just now.
    pub(super) fn retire(&self) -> bool {
        if self.process.is_none() {
            // It is another process's; the end of this link would be the end of this process's workers.
            return true;
        }
        let mut asked = std::pin::pin!(
            self.link
                .send(supervisor_frame::Frame::Shutdown(Shutdown {}), &[])
        );
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        Future::poll(asked.as_mut(), &mut context).is_ready()
    }

    /// Whether a server that is to leave is still of use to anybody. Tidies up after one that is not.
    pub(super) fn is_needed(&self) -> bool {
        if !self.is_there() {
            return false;
        }
        self.link.drain(|frame| self.deliver(frame));
        self.process.is_some() || !self.told().exits.is_empty()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, (frame, descriptor): Frame) {
        let mut told = self.told();
        told.heard = Some(Instant::now());
        match frame {
            zygote_frame::Frame::Forked(forked) => {
                let Some(answer) = told.forks.get_mut(&forked.worker) else {
                    // Given up: by the end of its own socket it ends, unless it has begun before that.
                    if let Some(pidfd) = descriptor {
                        let _ = sentinel::signal(forked.pid, pidfd.as_fd(), KILL);
                    }
                    return;
                };
                {
                    *answer = Some(match descriptor {
                        Some(pidfd) => Answer::Forked(forked.pid, pidfd),
                        None => Answer::Missed(forked.pid),
                    });
                }
            }
            zygote_frame::Frame::ForkFailed(failed) => {
                told.exits.remove(&failed.worker);
                if let Some(answer) = told.forks.get_mut(&failed.worker) {
                    *answer = Some(Answer::Failed(failed));
                }
            }
            zygote_frame::Frame::Exited(exited) => {
                if let Some(slot) = told.exits.remove(&exited.worker).and_then(|w| w.upgrade()) {
                    let _ = slot.set(exited);
                }
            }
            zygote_frame::Frame::Compaction(compaction) => self.compacted(&compaction),
            _ => tracing::warn!(zygote = self.pid, "a frame out of turn, ignored"),
        }
    }

    /// How the zygote's memory is backed.
    pub(super) fn compacted(&self, told: &Compaction) {
        let (huge, all) = (told.huge_bytes, told.anonymous_bytes);
        let steps = &told.steps;
        let skipped = (!told.skipped.is_empty()).then_some(&told.skipped);
        tracing::debug!(zygote = self.pid, huge, all, skipped, ?steps, "compacted");
    }

    /// Has a worker made with this socket, of which `control` is the other end; its answer, and the place of
    /// its exit.
    pub(super) async fn fork(
        &self,
        fork: Fork,
        socket: OwnedFd,
        control: &mut Control,
    ) -> Result<(Answer, Slot), Error> {
        let number = fork.worker;
        let slot = Slot::default();
        let asking = |error| match fdpass::is_congested(&error) {
            true => too_many_in_flight(&error),
            false => Error::system("asking the embedded server for a worker", error),
        };
        self.link.reserve().map_err(asking)?;
        {
            let mut told = self.told();
            told.forks.insert(number, None);
            told.exits.insert(number, Arc::downgrade(&slot));
        }
        let pending = Pending {
            own: self,
            number,
            asked: AtomicBool::new(false),
        };
        let asked = async {
            let fork = supervisor_frame::Frame::Fork(fork);
            let descriptors = [socket.as_fd()];
            let sent = tokio::select! {
                biased;
                sent = self.link.send(fork, &descriptors) => sent,
                // What the zygote can't get rid of it waits with, and reads nothing meanwhile.
                read = self.link.until(|frame| self.deliver(frame), || None::<Infallible>) => {
                    match read {
                        Ok(never) => match never {},
                        Err(error) => Err(error),
                    }
                }
            };
            match sent {
                Ok(()) => pending.asked.store(true, Ordering::Relaxed),
                Err(error) if is_hung_up(&error) => return Ok(Answer::Gone),
                Err(error) => return Err(error),
            }
            drop(socket);
            if !control.is_undelivered() {
                // Most say at once that they have begun, and by then the zygote has told of the fork: both
                // for one wake-up.
                let _ = tokio::time::timeout(AT_ONCE, control.receive()).await;
                self.link.drain(|frame| self.deliver(frame));
                if let Some(answer) = pending.answer() {
                    return Ok(answer);
                }
            }
            self.link
                .until(|frame| self.deliver(frame), || pending.answer())
                .await
        };
        let mut asked = std::pin::pin!(asked);
        let begun = Instant::now();
        let mut since = begun;
        loop {
            match tokio::time::timeout_at((since + FORK_LIMIT).into(), asked.as_mut()).await {
                Ok(answer) => return Ok((answer.map_err(asking)?, slot)),
                // Others come before this one, as it tells.
                Err(_) if self.told().heard.is_some_and(|heard| heard > since) => {
                    since = self.told().heard.unwrap_or(since);
                }
                // It may have had less time than that. Not for ever: what is put off then is another.
                Err(_)
                    if begun.elapsed() < FORK_LIMIT + CONGESTION_LIMIT
                        && self.link.put_off().is_some_and(|at| at > since) =>
                {
                    since = self.link.put_off().unwrap_or(since);
                }
                Err(_) => break,
            }
        }
        // It answers nobody any more: the next one may. Its workers go on.
        if let Some(process) = &self.process {
            let _ = sentinel::signal(self.pid, process.as_fd(), KILL);
        }
        Err(failed::no_fork(self.pid, &self.name, FORK_LIMIT).into())
    }

    /// Waits until the zygote has told the exit; `None` when it is gone without.
    pub(super) async fn exited(&self, slot: &Slot) -> Result<Option<Exited>, Error> {
        // In this order: another thread may read the exit and then the end.
        let check = || match (self.link.ended(), slot.get()) {
            (_, Some(exited)) => Some(Some(exited.clone())),
            (Some(_), None) => Some(None),
            (None, None) => None,
        };
        let told = self.link.until(|frame| self.deliver(frame), check).await;
        let told = told.map_err(|error| Error::system("waiting for a worker", error))?;
        if told.is_none() {
            self.reap();
        }
        Ok(told)
    }

    /// What a worker with this number is called in a Fork, and how it is made.
    pub(super) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn kept(&self) -> &[KeptDescriptor] {
        &self.kept
    }

    /// What its workers start with anyhow.
    pub(super) fn inherited(&self) -> Option<&Inherited> {
        self.inherited.as_ref()
    }

    pub(super) fn functions(&self) -> &HashSet<String> {
        &self.functions
    }
}

/// A Fork whose answer is awaited.
struct Pending<'a> {
    own: &'a Own,
    number: u64,
    /// Whether the zygote knows of it: then it tells how it ends.
    asked: AtomicBool,
}

impl Pending<'_> {
    fn answer(&self) -> Option<Answer> {
        // Asked for first: another thread may read the answer and then the end.
        let ended = self.own.link.ended().is_some();
        let mut told = self.own.told();
        let answer = told.forks.get_mut(&self.number)?.take();
        drop(told);
        match answer {
            None if ended => Some(Answer::Gone),
            answer => answer,
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut told = self.own.told();
        told.forks.remove(&self.number);
        if !self.asked.load(Ordering::Relaxed) {
            told.exits.remove(&self.number);
        }
        let waiting = told.forks.len();
        drop(told);
        self.own.link.expect(waiting);
    }
}

fn is_hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}

/// Whether this process is a worker that was executed, not forked.
pub(super) fn made_by_spawn() -> bool {
    mpfork_zygote::current().is_some_and(|current| current.way == StartWay::Spawn)
}

/// A link to the zygote that made this worker, when it is a program's own and serves what is asked for:
/// one that was executed for `spawn` has nothing preloaded.
pub(super) async fn through_door(kind: &Kind) -> Result<Option<Arc<Own>>, Error> {
    let Some(door) = super::launch::inherited_door() else {
        return Ok(None);
    };
    let failed = |error| Error::system("asking for a link to the embedded server", error);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let own = sentinel::open(std::process::id().cast_signed()).map_err(failed)?;
    let own = sentinel::to_pass(own);
    let descriptors: Vec<_> = [Some(theirs.as_fd()), own.as_ref().map(|own| own.as_fd())]
        .into_iter()
        .flatten()
        .collect();
    // With nobody behind it, it is as if there were none.
    if !knock(door.as_fd(), &descriptors).await? {
        return Ok(None);
    }
    drop(theirs);
    let link = Link::new(ours).map_err(failed)?;
    let Some((welcome, ready)) = super::launch::hear(&link).await? else {
        return Ok(None);
    };
    if !kind.fresh && !has_loaded(&kind.preloads, &welcome, &ready) {
        return Ok(None);
    }
    // It was forked from the program that this process runs.
    if kind.executable.is_some() && !settings::executable()?.is_same(&Program::own()?)? {
        return Ok(None);
    }
    let name = super::launch::executed_name();
    let link = Arc::new(link);
    Ok(Some(Arc::new(Own::new(name, None, link, welcome, ready))))
}

/// Passes these over the door; false when nobody is behind it.
async fn knock(door: BorrowedFd<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<bool, Error> {
    let failed =
        |error: io::Error| Error::system("asking for a link to the embedded server", error);
    let mut congested = None;
    let passed = async {
        loop {
            match fdpass::send(door, &[0], descriptors) {
                // Others wait there, for a zygote that is busy or stopped.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    congested = None;
                    Writable::of(door)?.ready().await?;
                }
                Err(error) if fdpass::is_congested(&error) => {
                    congested = Some(error);
                    tokio::time::sleep(CONGESTION_PAUSE).await;
                }
                sent => return io::Result::Ok(sent.is_ok()),
            }
        }
    };
    match tokio::time::timeout(HELLO_LIMIT, passed).await {
        Ok(passed) => passed.map_err(failed),
        Err(_) => Err(match congested {
            Some(error) => too_many_in_flight(&error),
            None => super::launch::silent(),
        }),
    }
}

/// All this time, this user had too many descriptors in flight.
pub(super) fn too_many_in_flight(error: &io::Error) -> Error {
    failed::too_many_in_flight(error).into()
}

/// Whether a zygote has loaded what is asked for, and nothing else.
fn has_loaded(preloads: &Preloads, welcome: &Welcome, ready: &Ready) -> bool {
    if preloads.on_error == OnPreloadError::Fail
        && ready.preloads.iter().any(|report| !report.error.is_empty())
    {
        return false;
    }
    let Some(names) = &preloads.names else {
        return welcome.preloads.len() == ready.preloads.len();
    };
    let mut wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
    // What one comes after is declared before it.
    for declared in welcome.preloads.iter().rev() {
        if wanted.contains(declared.name.as_str()) {
            wanted.extend(declared.after.iter().map(String::as_str));
        }
    }
    let loaded = ready.preloads.iter().map(|report| report.name.as_str());
    loaded.collect::<HashSet<_>>() == wanted
}
