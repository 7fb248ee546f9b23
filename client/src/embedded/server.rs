//! One embedded server, as its owner sees it.

use super::Kind;
use super::link::{Frame, Link};
use crate::error::Error;
use crate::random;
use crate::server::Server;
use mpfork_driver::failed;
use mpfork_proto::link::{
    Exited, Fork, ForkFailed, Ready, Shutdown, Welcome, supervisor_frame, zygote_frame,
};
use mpfork_proto::v1::{KeptDescriptor, StartWay};
use mpfork_sys::{fdpass, sentinel, wait};
use rustix::process::Signal;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// How long a zygote may take to fork: what mpforkd's configuration has by default.
pub(super) const FORK_LIMIT: Duration = Duration::from_secs(10);

/// What became of a Fork.
#[derive(Debug)]
pub(super) enum Answer {
    Forked(i32, OwnedFd),
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
        if self.link.ended().is_none() && !self.link.hung_up() {
            return true;
        }
        // What it has told before is read first.
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
            let _ = sentinel::signal(self.pid, process.as_fd(), Signal::KILL.as_raw());
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
        if self.told().exits.is_empty() && crate::sentinel::wait(process.as_fd(), Some(PATIENCE)) {
            let _ = wait::reap_named(self.pid, process.as_fd());
        }
    }

    /// It is to leave when its last worker has ended.
    pub(super) fn retire(self: Arc<Self>) {
        // It waits for nobody: a zygote whose link is full is told by the link's end.
        let mut asked = std::pin::pin!(
            self.link
                .send(supervisor_frame::Frame::Shutdown(Shutdown {}), &[])
        );
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = Future::poll(asked.as_mut(), &mut context);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, (frame, descriptor): Frame) {
        let mut told = self.told();
        match frame {
            zygote_frame::Frame::Forked(forked) => {
                // Given up otherwise: its pidfd is closed, and its own socket is, by which it ends.
                if let Some(answer) = told.forks.get_mut(&forked.worker) {
                    *answer = Some(match descriptor {
                        Some(pidfd) => Answer::Forked(forked.pid, pidfd),
                        None => Answer::Failed(ForkFailed {
                            message: "the worker's pidfd did not arrive".to_owned(),
                            ..ForkFailed::default()
                        }),
                    });
                }
            }
            zygote_frame::Frame::ForkFailed(failed) => {
                if let Some(answer) = told.forks.get_mut(&failed.worker) {
                    *answer = Some(Answer::Failed(failed));
                }
            }
            zygote_frame::Frame::Exited(exited) => {
                if let Some(slot) = told.exits.remove(&exited.worker).and_then(|w| w.upgrade()) {
                    let _ = slot.set(exited);
                }
            }
            _ => tracing::warn!(zygote = self.pid, "a frame out of turn, ignored"),
        }
    }

    /// Has a worker made with this socket; its answer, and the place of its exit.
    pub(super) async fn fork(&self, fork: Fork, socket: OwnedFd) -> Result<(Answer, Slot), Error> {
        let number = fork.worker;
        let slot = Slot::default();
        {
            let mut told = self.told();
            told.forks.insert(number, None);
            told.exits.insert(number, Arc::downgrade(&slot));
        }
        let pending = Pending { own: self, number };
        let asked = async {
            let fork = supervisor_frame::Frame::Fork(fork);
            match self.link.send(fork, &[socket.as_fd()]).await {
                Ok(()) => {}
                Err(error) if is_hung_up(&error) => return Ok(Answer::Gone),
                Err(error) => return Err(error),
            }
            drop(socket);
            self.link
                .until(|frame| self.deliver(frame), || pending.answer())
                .await
        };
        match tokio::time::timeout(FORK_LIMIT, asked).await {
            Ok(Ok(answer)) => Ok((answer, slot)),
            Ok(Err(error)) => Err(Error::system(
                "asking the embedded server for a worker",
                error,
            )),
            Err(_) => {
                // It answers nobody any more: the next one may. Its workers go on.
                if let Some(process) = &self.process {
                    let _ = sentinel::signal(self.pid, process.as_fd(), Signal::KILL.as_raw());
                }
                Err(failed::no_fork(self.pid, &self.name, FORK_LIMIT).into())
            }
        }
    }

    /// Waits until the zygote has told the exit; `None` when it is gone without.
    pub(super) async fn exited(&self, slot: &Slot) -> Result<Option<Exited>, Error> {
        let check = || match (slot.get(), self.link.ended()) {
            (Some(exited), _) => Some(Some(exited.clone())),
            (None, Some(_)) => Some(None),
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

    pub(super) fn functions(&self) -> &HashSet<String> {
        &self.functions
    }
}

/// A Fork whose answer is awaited.
struct Pending<'a> {
    own: &'a Own,
    number: u64,
}

impl Pending<'_> {
    fn answer(&self) -> Option<Answer> {
        let mut told = self.own.told();
        let answer = told.forks.get_mut(&self.number)?.take();
        drop(told);
        match answer {
            None if self.own.link.ended().is_some() => Some(Answer::Gone),
            answer => answer,
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.own.told().forks.remove(&self.number);
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
    if fdpass::send(door.as_fd(), &[0], &descriptors).is_err() {
        return Ok(None);
    }
    drop(theirs);
    let link = Link::new(ours).map_err(failed)?;
    let Some((welcome, ready)) = super::launch::hear(&link).await? else {
        return Ok(None);
    };
    let loaded: HashSet<&str> = ready.preloads.iter().map(|p| p.name.as_str()).collect();
    let suits = match &kind.preloads.names {
        Some(wanted) => wanted.iter().all(|name| loaded.contains(name.as_str())),
        None => welcome.preloads.len() == loaded.len(),
    };
    if !suits {
        return Ok(None);
    }
    let name = super::launch::program_name();
    let link = Arc::new(link);
    Ok(Some(Arc::new(Own::new(name, None, link, welcome, ready))))
}
