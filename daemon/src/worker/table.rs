//! All workers, running and remembered, and the requests that made them.

use super::{Claim, Owner, Worker};
use crate::template::Template;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{StartWay, WorkerId, WorkerTotals};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How a request that is known already came out; `None` while it is under way.
pub(crate) type Outcome = Option<Result<Arc<Worker>, Problem>>;

/// The most bytes that remembered exits take: failures may come with long backtraces.
const MOST_BYTES: usize = 64 << 20;
/// So many of those that ended last keep their descriptors, should a repeated request ask for a pidfd,
/// or somebody attach to what is left in their pipes.
const KEPT_DESCRIPTORS: usize = 64;

/// All workers.
#[derive(Debug)]
pub(crate) struct Workers {
    instance: u64,
    next: AtomicU64,
    limit: AtomicUsize,
    per_template: AtomicUsize,
    retained: AtomicUsize,
    live: Arc<watch::Sender<usize>>,
    started: AtomicU64,
    /// How many of those started came about in other ways than by a fork for them.
    by_spares: AtomicU64,
    by_spawn: AtomicU64,
    exited: AtomicU64,
    failed: AtomicU64,
    /// Of failed starts, by the way they went.
    reasons: Mutex<BTreeMap<(StartWay, Reason), u64>>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    workers: HashMap<u64, Arc<Worker>>,
    running_by_pid: HashMap<i32, u64>,
    /// Those remembered, oldest first, with the bytes their exits take.
    ended: VecDeque<(u64, usize)>,
    ended_bytes: usize,
    requests: HashMap<Vec<u8>, KnownRequest>,
}

impl Table {
    /// Forgets the oldest of those that have ended, down to so many and to the bytes they may take. Given
    /// back to be dropped when the table is not locked: their output takes another lock.
    #[must_use]
    fn forget_oldest(&mut self, most: usize) -> Vec<Arc<Worker>> {
        let mut forgotten = Vec::new();
        while self.ended.len() > most || self.ended_bytes > MOST_BYTES {
            let Some((oldest, bytes)) = self.ended.pop_front() else {
                break;
            };
            self.ended_bytes -= bytes;
            if let Some(oldest) = self.workers.remove(&oldest) {
                self.requests.remove(&oldest.request_id);
                forgotten.push(oldest);
            }
        }
        forgotten
    }
}

#[derive(Debug)]
struct KnownRequest {
    fingerprint: u64,
    state: RequestState,
}

/// How far a request has come. One that gave no worker is forgotten.
#[derive(Debug)]
enum RequestState {
    UnderWay(Claim, watch::Receiver<Outcome>),
    Started(Arc<Worker>),
}

/// A place among the running workers, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    live: Arc<watch::Sender<usize>>,
    template: Arc<Template>,
    forked: bool,
}

impl Place {
    /// The worker exists.
    pub(crate) fn forked(&mut self) {
        self.forked = true;
        self.template.stats.running.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.send_modify(|live| *live -= 1);
        self.template.stats.placed.fetch_sub(1, Ordering::Relaxed);
        if self.forked {
            self.template.stats.running.fetch_sub(1, Ordering::Relaxed);
        }
        self.template.touch();
    }
}

/// What a request id is, to the one who brings it.
#[derive(Debug)]
pub(crate) enum Request {
    /// New: the worker is to be started, and the outcome told.
    New(watch::Sender<Outcome>, Claim),
    /// Known: the outcome is to be waited for.
    UnderWay(watch::Receiver<Outcome>),
    /// Known: it has given this worker.
    Started(Arc<Worker>),
}

impl Workers {
    pub(crate) fn new(instance: u64, limits: &crate::config::Limits) -> Self {
        Self {
            instance,
            next: AtomicU64::new(1),
            limit: AtomicUsize::new(limits.workers),
            per_template: AtomicUsize::new(limits.workers_per_template),
            retained: AtomicUsize::new(limits.retained_exits),
            live: Arc::new(watch::Sender::new(0)),
            started: AtomicU64::new(0),
            by_spares: AtomicU64::new(0),
            by_spawn: AtomicU64::new(0),
            exited: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            reasons: Mutex::default(),
            table: Mutex::default(),
        }
    }

    /// Other bounds hold from now on: what runs over them goes on, what is remembered over them is
    /// forgotten.
    pub(crate) fn set_limits(&self, limits: &crate::config::Limits) {
        self.limit.store(limits.workers, Ordering::Relaxed);
        self.per_template
            .store(limits.workers_per_template, Ordering::Relaxed);
        self.retained
            .store(limits.retained_exits, Ordering::Relaxed);
        let mut table = self.table();
        let forgotten = table.forget_oldest(limits.retained_exits);
        drop(table);
        drop(forgotten);
    }

    /// A place for one more worker.
    pub(crate) fn place(&self, template: &Arc<Template>) -> Result<Place, Problem> {
        let limit = self.limit.load(Ordering::Relaxed);
        let placed = self.live.send_if_modified(|live| {
            let free = *live < limit;
            *live += usize::from(free);
            free
        });
        if !placed {
            return Err(Problem::limit("limits.workers", limit));
        }
        template.stats.placed.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            live: Arc::clone(&self.live),
            template: Arc::clone(template),
            forked: false,
        };
        let limit = self.per_template.load(Ordering::Relaxed);
        if template.stats.placed.load(Ordering::Relaxed) > limit {
            return Err(Problem::limit("limits.workers_per_template", limit));
        }
        Ok(place)
    }

    /// An id that no worker has had.
    pub(crate) fn next_id(&self) -> WorkerId {
        WorkerId {
            instance: self.instance,
            counter: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Looks a request id up, or makes it known. From here on the worker is to be this owner's.
    pub(crate) fn request(
        &self,
        id: &[u8],
        fingerprint: u64,
        owner: Option<Owner>,
    ) -> Result<Request, Problem> {
        let mut table = self.table();
        if let Some(known) = table.requests.get(id) {
            if known.fingerprint != fingerprint {
                return Err(Problem::bad_request(
                    "spec.request_id",
                    "it was used for another start; choose a new one for each",
                ));
            }
            return Ok(match &known.state {
                RequestState::UnderWay(claim, outcome) => {
                    if let Some(owner) = owner {
                        claim.hand_over(owner);
                    }
                    Request::UnderWay(outcome.clone())
                }
                RequestState::Started(worker) => Request::Started(Arc::clone(worker)),
            });
        }
        let (sender, outcome) = watch::channel(None);
        let claim = Claim::new(owner);
        let known = KnownRequest {
            fingerprint,
            state: RequestState::UnderWay(claim.clone(), outcome),
        };
        table.requests.insert(id.to_vec(), known);
        drop(table);
        Ok(Request::New(sender, claim))
    }

    /// A request has given this worker.
    pub(crate) fn request_started(&self, worker: &Arc<Worker>) {
        if let Some(known) = self.table().requests.get_mut(&worker.request_id) {
            known.state = RequestState::Started(Arc::clone(worker));
        }
    }

    /// Forgets a request that gave no worker, so that it may be tried again.
    pub(crate) fn forget_request(&self, id: &[u8]) {
        self.table().requests.remove(id);
    }

    /// A start that gave no worker.
    pub(crate) fn count_failed(&self, way: StartWay, reason: Reason) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        *reasons.entry((way, reason)).or_default() += 1;
    }

    /// Starts that gave no worker, for this reason.
    pub(crate) fn failures(&self, way: StartWay, reason: Reason) -> u64 {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.get(&(way, reason)).copied().unwrap_or(0)
    }

    /// How many were started in this way.
    pub(crate) fn started(&self, way: StartWay) -> u64 {
        let by_spares = self.by_spares.load(Ordering::Relaxed);
        let by_spawn = self.by_spawn.load(Ordering::Relaxed);
        match way {
            StartWay::Spare => by_spares,
            StartWay::Spawn => by_spawn,
            StartWay::Fork | StartWay::Unspecified => {
                let all = self.started.load(Ordering::Relaxed);
                all.saturating_sub(by_spares).saturating_sub(by_spawn)
            }
        }
    }

    /// Ended workers that are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.table().ended.len()
    }

    /// A worker was forked.
    pub(crate) fn insert(&self, worker: &Arc<Worker>) {
        let mut table = self.table();
        table.running_by_pid.insert(worker.pid, worker.id.counter);
        table.workers.insert(worker.id.counter, Arc::clone(worker));
    }

    /// A provisional worker has become one.
    pub(crate) fn confirm(&self, worker: &Worker) {
        worker.confirm();
        self.started.fetch_add(1, Ordering::Relaxed);
        let by = |way| u64::from(worker.way == way);
        self.by_spares
            .fetch_add(by(StartWay::Spare), Ordering::Relaxed);
        self.by_spawn
            .fetch_add(by(StartWay::Spawn), Ordering::Relaxed);
    }

    /// A worker has ended: it is remembered, and the oldest over the limit is forgotten. One that
    /// never became a worker leaves no trace.
    pub(crate) fn ended(&self, worker: &Worker, exit_bytes: usize) {
        let mut table = self.table();
        if table.running_by_pid.get(&worker.pid) == Some(&worker.id.counter) {
            table.running_by_pid.remove(&worker.pid);
        }
        if worker.is_provisional() {
            table.workers.remove(&worker.id.counter);
            return;
        }
        table.ended.push_back((worker.id.counter, exit_bytes));
        table.ended_bytes += exit_bytes;
        let earlier = table.ended.iter().rev().nth(KEPT_DESCRIPTORS);
        if let Some(earlier) = earlier.and_then(|(counter, _)| table.workers.get(counter)) {
            earlier.close_descriptors();
        }
        let forgotten = table.forget_oldest(self.retained.load(Ordering::Relaxed));
        drop(table);
        drop(forgotten);
        self.exited.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the streams of those that have ended: the descriptors are needed.
    pub(crate) fn close_ended(&self) {
        let table = self.table();
        let last = table.ended.iter().rev().take(KEPT_DESCRIPTORS);
        let streams: Vec<_> = last
            .filter_map(|(counter, _)| table.workers.get(counter)?.streams.clone())
            .collect();
        drop(table);
        for streams in streams {
            streams.close();
        }
    }

    /// The worker of an id.
    pub(crate) fn get(&self, id: Option<WorkerId>) -> Result<Arc<Worker>, Problem> {
        let id = id.ok_or_else(|| Problem::bad_request("worker", "no id is given"))?;
        let unknown = |why: &str| {
            Problem::new(Reason::UnknownWorker, format!("no worker {id}: {why}")).with("worker", id)
        };
        if id.instance != self.instance {
            return Err(unknown("it was started by another run of mpforkd"));
        }
        let worker = self.table().workers.get(&id.counter).cloned();
        worker
            .filter(|worker| !worker.is_provisional())
            .ok_or_else(|| {
                if id.counter < self.next.load(Ordering::Relaxed) && id.counter > 0 {
                    unknown("it did not start, or ended too long ago to be remembered")
                } else {
                    unknown("there was none")
                }
            })
    }

    /// The running worker of a pid.
    pub(crate) fn by_pid(&self, pid: i32) -> Option<Arc<Worker>> {
        let table = self.table();
        let counter = table.running_by_pid.get(&pid)?;
        table.workers.get(counter).cloned()
    }

    /// The processes of those of a template that run.
    pub(crate) fn pids_of(&self, template: &str) -> Vec<i32> {
        let all = self.all();
        let running = all
            .iter()
            .filter(|worker| worker.template == template && worker.is_running());
        running.map(|worker| worker.pid).collect()
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Worker>> {
        let table = self.table();
        let mut all: Vec<_> = table
            .workers
            .values()
            .filter(|worker| !worker.is_provisional())
            .cloned()
            .collect();
        drop(table);
        all.sort_by_key(|worker| worker.id.counter);
        all
    }

    /// Those that run, provisional ones included.
    pub(crate) fn running(&self) -> Vec<Arc<Worker>> {
        let table = self.table();
        table
            .running_by_pid
            .values()
            .filter_map(|counter| table.workers.get(counter).cloned())
            .collect()
    }

    /// Running or being started.
    pub(crate) fn live(&self) -> usize {
        *self.live.borrow()
    }

    /// The same, as it changes.
    pub(crate) fn watch_live(&self) -> watch::Receiver<usize> {
        self.live.subscribe()
    }

    /// Waits until none runs or is being started.
    pub(crate) async fn none_live(&self) {
        // The sender lives in `self`, so the wait can't fail.
        let _ = self.watch_live().wait_for(|live| *live == 0).await;
    }

    /// Whether a start was asked for under this id.
    pub(crate) fn knows(&self, request_id: &[u8]) -> bool {
        self.table().requests.contains_key(request_id)
    }

    pub(crate) fn totals(&self) -> WorkerTotals {
        let (started, exited) = (
            self.started.load(Ordering::Relaxed),
            self.exited.load(Ordering::Relaxed),
        );
        WorkerTotals {
            running: started.saturating_sub(exited),
            started,
            exited,
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::identity::Identities;
    use crate::template::spec::Spec;
    use crate::worker::Seed;
    use mpfork_driver::control::Control;

    #[tokio::test]
    async fn one_that_never_began_is_known_until_it_has_ended() {
        let workers = Workers::new(1, &crate::config::Limits::default());
        let spec = Spec::builtin(&Identities::default()).unwrap();
        let name = || "command".to_owned();
        let template = Arc::new(Template::new(name(), name(), true, None, spec));
        let pid = std::process::id().cast_signed();
        let seed = Seed {
            id: workers.next_id(),
            request_id: b"request".to_vec(),
            name: String::new(),
            description: String::new(),
            template: Arc::clone(&template),
            keep: false,
            grace: std::time::Duration::ZERO,
            time_limit: None,
            owner: Claim::new(None),
            command: false,
            way: StartWay::Spare,
            control: Control::pair().unwrap().0,
            place: workers.place(&template).unwrap(),
            streams: None,
        };
        let pidfd = Arc::new(mpfork_sys::sentinel::open(pid).unwrap());
        let worker = Arc::new(Worker::new(seed, pid, pidfd));
        workers.insert(&worker);
        assert!(
            !worker
                .first_reports(Some(std::time::Duration::ZERO))
                .await
                .applied
        );
        assert!(worker.settle().is_none());
        // Nobody is told of it, but whoever reaps it needs to know.
        assert!(workers.get(Some(worker.id)).is_err());
        assert!(workers.all().is_empty());
        assert!(workers.by_pid(pid).is_some());
        workers.ended(&worker, 0);
        assert!(workers.by_pid(pid).is_none());
        assert!(workers.table().workers.is_empty());
        assert_eq!(workers.remembered(), 0);
    }
}
