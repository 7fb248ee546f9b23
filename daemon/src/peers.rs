//! Who is connected: whether they may be, and what they own.

use crate::calls::Usage;
use crate::daemon::Daemon;
use crate::features::Feature;
use crate::worker::{Owner, Worker, end};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_sys::{reactor::Readable, sentinel};
use mpfork_transport::{Connection, FdStream};
use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::UnixStream;

/// So many connections that are refused at a time are told why; others are just closed.
const TOLD: usize = 64;

/// All connections.
#[derive(Debug)]
pub(crate) struct Peers {
    limit: AtomicUsize,
    table: Mutex<HashMap<u64, Peer>>,
}

#[derive(Debug)]
struct Peer {
    pid: i32,
    /// Why every call of this connection is refused, if it is.
    refused: Option<Problem>,
    /// The client itself has ended, though something may hold its socket.
    gone: bool,
    owned: HashSet<u64>,
    usage: Arc<Usage>,
}

impl Peers {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            table: Mutex::default(),
        }
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// How many are served.
    pub(crate) fn len(&self) -> usize {
        let table = self.table();
        table.values().filter(|peer| peer.refused.is_none()).count()
    }

    /// A new connection: its peer is looked at, and its end awaited. `None` when there are far too
    /// many already.
    pub(crate) fn admit(&self, daemon: &Arc<Daemon>, socket: UnixStream) -> Option<FdStream> {
        let (pid, mut refused) = match socket.peer_cred() {
            Ok(credentials) => (
                credentials.pid().unwrap_or(0),
                check_user(credentials.uid()).err(),
            ),
            Err(error) => (
                0,
                Some(denied(format!("the peer's user is not known: {error}"))),
            ),
        };
        // Those refused take no place of those served: another user's can't keep this one's out.
        let served = self.len();
        let limit = self.limit.load(Ordering::Relaxed);
        if served >= limit && refused.is_none() {
            refused = Some(Problem::limit("limits.connections", limit));
        }
        if refused.is_some() && self.table().len() - served >= TOLD {
            return None;
        }
        let process = open_peer(daemon, &socket, pid);
        let timeouts = daemon.config().timeouts.clone();
        let stream = match FdStream::server(socket) {
            // No call of one that is refused counts as served: it is closed in any case.
            Ok(stream) => stream
                .first_call_within(timeouts.first_call)
                .abandoned_after(timeouts.half_closed),
            Err(error) => {
                tracing::error!(pid, %error, "connection given up: it can't be awaited");
                return None;
            }
        };
        let connection = stream.connection();
        let id = connection.id();
        let mut table = self.table();
        if let Some(problem) = &refused {
            tracing::warn!(pid, %problem, "connection refused");
        }
        let peer = Peer {
            pid,
            refused,
            gone: false,
            owned: HashSet::new(),
            usage: Arc::default(),
        };
        table.insert(id, peer);
        drop(table);
        let daemon = Arc::clone(daemon);
        tokio::spawn(async move {
            match process {
                Some(process) => tokio::select! {
                    () = connection.closed() => {}
                    _ = process.ready() => {
                        // A forked child may hold the socket; its owner is gone all the same.
                        daemon.peers.owner_gone(&daemon, id);
                        connection.closed().await;
                    }
                },
                None => connection.closed().await,
            }
            if let Some(failure) = connection.failure() {
                tracing::debug!(pid, %failure, "connection failed");
            }
            daemon.peers.owner_gone(&daemon, id);
            daemon.peers.table().remove(&id);
        });
        Some(stream)
    }

    /// Whether a connection's calls are served.
    pub(crate) fn check(&self, connection: &Connection) -> Result<(), Problem> {
        match self.table().get(&connection.id()) {
            Some(Peer { refused: None, .. }) => Ok(()),
            Some(Peer {
                refused: Some(problem),
                ..
            }) => Err(problem.clone()),
            None => Err(denied("the connection has ended".to_owned())),
        }
    }

    /// What a connection has under way; `None` when it has ended.
    pub(crate) fn usage(&self, connection: &Connection) -> Option<Arc<Usage>> {
        self.table()
            .get(&connection.id())
            .map(|peer| Arc::clone(&peer.usage))
    }

    /// The owner that a worker started on this connection gets.
    pub(crate) fn owner(&self, connection: &Connection) -> Owner {
        let id = connection.id();
        Owner {
            connection: id,
            pid: self.table().get(&id).map_or(0, |peer| peer.pid),
        }
    }

    /// Whether the client of this connection has ended.
    pub(crate) fn is_gone(&self, owner: Owner) -> bool {
        let table = self.table();
        table.get(&owner.connection).is_none_or(|peer| peer.gone)
    }

    /// Gives a worker to a connection. When that is gone already, its owner's death is now.
    pub(crate) fn own(&self, daemon: &Arc<Daemon>, owner: Owner, worker: &Arc<Worker>) {
        self.disown(worker);
        worker.set_owner(Some(owner));
        let mut table = self.table();
        let alive = table
            .get_mut(&owner.connection)
            .filter(|peer| !peer.gone)
            .map(|peer| peer.owned.insert(worker.id.counter))
            .is_some();
        drop(table);
        if !alive {
            orphaned(daemon, worker);
        }
    }

    /// Takes a worker off its owner's list.
    pub(crate) fn disown(&self, worker: &Worker) {
        if let Some(owner) = worker.owner()
            && let Some(peer) = self.table().get_mut(&owner.connection)
        {
            peer.owned.remove(&worker.id.counter);
        }
    }

    fn owner_gone(&self, daemon: &Arc<Daemon>, id: u64) {
        let owned = self.table().get_mut(&id).map(|peer| {
            peer.gone = true;
            std::mem::take(&mut peer.owned)
        });
        let owned = owned.unwrap_or_default();
        let mine = daemon.workers.running();
        for worker in mine
            .iter()
            .filter(|worker| owned.contains(&worker.id.counter))
        {
            orphaned(daemon, worker);
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Peer>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's owner has died: it is ended or kept, as was asked when it was started.
fn orphaned(daemon: &Arc<Daemon>, worker: &Arc<Worker>) {
    worker.set_owner(None);
    if worker.keep {
        tracing::debug!(worker = %worker.id, "its owner is gone, it is kept");
        return;
    }
    tracing::debug!(worker = %worker.id, "its owner is gone, it is ended");
    let (daemon, worker) = (Arc::clone(daemon), Arc::clone(worker));
    tokio::spawn(async move { end::end(&daemon, &worker, worker.grace).await });
}

fn open_peer(daemon: &Daemon, socket: &UnixStream, pid: i32) -> Option<Readable> {
    let opened = if daemon.features.has(Feature::PeerPidfd) {
        sentinel::of_peer(socket.as_fd())
    } else {
        sentinel::open(pid)
    };
    opened.and_then(Readable::new).ok()
}

/// Whether this daemon serves a user.
pub(crate) fn check_user(uid: u32) -> Result<(), Problem> {
    let own = nix::unistd::geteuid().as_raw();
    if uid == own {
        Ok(())
    } else {
        Err(denied(format!(
            "this mpforkd serves user {own}, and the client runs as user {uid}"
        )))
    }
}

fn denied(detail: String) -> Problem {
    Problem::new(
        Reason::PermissionDenied,
        format!("permission denied: {detail}"),
    )
    .with("detail", detail)
}
