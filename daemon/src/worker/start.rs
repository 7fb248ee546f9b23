//! Starting a worker: from a checked request to a worker that runs, or a typed error and nothing.

use super::finish::finish;
use super::request::StartRequest;
use super::streams::Streams;
use super::table::{Outcome, Request};
use super::{Claim, Owner, Seed, Worker};
use crate::daemon::Daemon;
use crate::events::{Asked, Record};
use crate::features::Feature;
use crate::template::Template;
use crate::zygote::spares::{Coming, Spare};
use crate::zygote::{ForkReply, Zygote, driver};
use mpfork_driver::control::{AssignError, Control, while_congested};
use mpfork_driver::failed;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{StartWay, WorkerId};
use mpfork_sys::fdpass::is_congested;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How often a start is tried again with another zygote when one dies under it.
const TRIES: u32 = 3;

/// A worker that was started, and its pidfd unless it ended some while ago.
pub(crate) type StartedWorker = (Arc<Worker>, Option<Arc<OwnedFd>>);

/// Starts the worker of a request, or finds the one that a repeated request started.
///
/// It goes on to its end even when the caller does not wait for it: a start is never left half done.
pub(crate) async fn start(
    daemon: &Arc<Daemon>,
    request: StartRequest,
    owner: Option<Owner>,
    decoded: Instant,
) -> Result<StartedWorker, Problem> {
    // Repeating a start begins nothing.
    if !daemon.workers.knows(&request.request_id) {
        let refused = |problem: &Problem| refused(daemon, request.asked(), problem);
        daemon.accepting().inspect_err(refused)?;
    }
    let known = daemon
        .workers
        .request(&request.request_id, request.fingerprint, owner);
    match known.inspect_err(|problem| refused(daemon, request.asked(), problem))? {
        Request::UnderWay(outcome) => Ok(repeated(daemon, wait(outcome).await?, owner)),
        Request::Started(worker) => Ok(repeated(daemon, worker, owner)),
        Request::New(sender, claim) => {
            let daemon = Arc::clone(daemon);
            let mut request = request;
            let started = tokio::spawn(async move {
                let request_id = request.request_id.clone();
                let mut way = StartWay::Fork;
                let result = start_new(&daemon, &mut request, claim, decoded, &mut way).await;
                if let Err(problem) = &result {
                    failed(&daemon, request.asked(), way, problem);
                    daemon.workers.forget_request(&request_id);
                }
                let (outcome, started) = match result {
                    Ok((worker, pidfd)) => {
                        daemon.workers.request_started(&worker);
                        (Ok(Arc::clone(&worker)), Ok((worker, Some(pidfd))))
                    }
                    Err(problem) => (Err(problem.clone()), Err(problem)),
                };
                sender.send_replace(Some(outcome));
                started
            });
            started.await.unwrap_or_else(|_| Err(interrupted()))
        }
    }
}

/// The worker of a request that was made again, by whom it is owned now.
fn repeated(daemon: &Arc<Daemon>, worker: Arc<Worker>, owner: Option<Owner>) -> StartedWorker {
    if let Some(owner) = owner
        && worker.is_running()
    {
        daemon.peers.own(daemon, owner, &worker);
    }
    let pidfd = worker.pidfd();
    (worker, pidfd)
}

/// Tells and counts a start that was refused before anything was begun.
pub(crate) fn refused(daemon: &Daemon, asked: Asked<'_>, problem: &Problem) {
    failed(daemon, asked, StartWay::Fork, problem);
}

/// Tells and counts a start that gave no worker, which was to be one in this way.
fn failed(daemon: &Daemon, asked: Asked<'_>, way: StartWay, problem: &Problem) {
    let template = daemon.templates.get(asked.template).ok();
    if let Some(template) = &template {
        template.stats.record_failure();
    }
    let record = Record::start_failed(asked, template.as_deref(), problem);
    daemon.events.publish_failed_start(record);
    daemon.workers.count_failed(way, problem.reason);
}

async fn wait(mut outcome: watch::Receiver<Outcome>) -> Result<Arc<Worker>, Problem> {
    match outcome.wait_for(Option::is_some).await {
        Ok(result) => result.clone().unwrap_or_else(|| Err(interrupted())),
        Err(_) => Err(interrupted()),
    }
}

fn interrupted() -> Problem {
    Problem::new(Reason::Internal, "the start was interrupted").with("detail", "its task ended")
}

async fn start_new(
    daemon: &Arc<Daemon>,
    request: &mut StartRequest,
    claim: Claim,
    decoded: Instant,
    way: &mut StartWay,
) -> Result<(Arc<Worker>, Arc<OwnedFd>), Problem> {
    let template = daemon.templates.get(&request.template)?;
    let result = start_in(daemon, &template, request, &claim, way).await;
    match &result {
        Ok((worker, _)) => {
            let there = match worker.way {
                // It is asked and answers.
                StartWay::Spare => Instant::now(),
                StartWay::Fork | StartWay::Spawn | StartWay::Unspecified => worker.forked_at,
            };
            let latency = there.saturating_duration_since(decoded);
            template.stats.record_start(worker.way, latency);
        }
        Err(problem) => {
            template.note_error(problem);
            tracing::info!(template = template.display, %problem, "start failed");
        }
    }
    result
}

async fn start_in(
    daemon: &Arc<Daemon>,
    template: &Arc<Template>,
    request: &mut StartRequest,
    claim: &Claim,
    way: &mut StartWay,
) -> Result<(Arc<Worker>, Arc<OwnedFd>), Problem> {
    // One that failed says that others may: the next try does without.
    let mut spares = true;
    let mut died = 0;
    while died < TRIES {
        let place = daemon.workers.place(template)?;
        let zygote = warm_zygote(daemon, template, request).await?;
        daemon.accepting()?;
        failed::check_targets(&request.start.state.placed, &zygote.kept)?;
        if let Some(name) = request.function_name() {
            failed::check_function(name, &template.display, &zygote.functions)?;
        }
        check_owner(daemon, request, claim.owner())?;
        let streams = Streams::open(daemon, request)?;
        let seed = |id, way, control| Seed {
            id,
            request_id: request.request_id.clone(),
            name: request.start.name.clone(),
            description: request.start.description.clone(),
            template: Arc::clone(template),
            keep: request.start.keep,
            grace: request
                .start
                .grace
                .unwrap_or(daemon.config().timeouts.grace),
            time_limit: request.start.time_limit,
            owner: claim.clone(),
            command: request.is_command(),
            way,
            control,
            place,
            streams,
        };
        let id = daemon.workers.next_id();
        let limit = daemon.config().timeouts.fork;
        let assigned = if spares {
            assigned_spare(request, id, &zygote)?
        } else {
            Assigned::None
        };
        let is_spare = matches!(assigned, Assigned::Waiting(_));
        *way = match (is_spare, daemon.features.has(Feature::Fork)) {
            (true, _) => StartWay::Spare,
            (false, true) => StartWay::Fork,
            (false, false) => StartWay::Spawn,
        };
        let way = *way;
        let reply = match assigned {
            Assigned::Waiting(spare) => {
                let (number, pid, pidfd, control) = spare.into_parts();
                let seed = seed(id, way, control);
                let (worker, pidfd) = driver::enroll(daemon, seed, pid, pidfd);
                zygote.enrolled(number, &worker);
                ForkReply::Forked(worker, pidfd)
            }
            Assigned::Coming(number, coming) => {
                let seed = seed(id, way, coming.into_control());
                let answer = zygote.promise(number, Box::new(seed));
                forked(daemon, &zygote, template, number, answer).await
            }
            Assigned::None => {
                let (mut control, theirs) = Control::pair()
                    .map_err(|error| Problem::limit("open files of mpforkd", error))?;
                assign(request, id, way, &zygote, &mut control, limit).await?;
                let seed = Box::new(seed(id, way, control));
                fork(daemon, &zygote, template, seed, theirs).await
            }
        };
        match reply {
            ForkReply::Forked(worker, pidfd) => {
                if begun(daemon, &worker, is_spare.then_some(limit)).await? {
                    template.refill_after_start(daemon, &zygote);
                    return Ok((worker, pidfd));
                }
                spares = false;
                zygote.end_stopped_spares();
            }
            ForkReply::Failed(problem) => return Err(problem),
            // The next zygote may do better.
            ForkReply::Gone => died += 1,
        }
    }
    Err(failed::zygotes_died(&template.display, TRIES))
}

/// The template's zygote. A start that waits for it past its call's deadline is not begun.
async fn warm_zygote(
    daemon: &Arc<Daemon>,
    template: &Arc<Template>,
    request: &StartRequest,
) -> Result<Arc<Zygote>, Problem> {
    let zygote = template.zygote(daemon);
    match request.deadline {
        None => zygote.await,
        Some(deadline) => match tokio::time::timeout_at(deadline.into(), zygote).await {
            Ok(zygote) => zygote,
            Err(_) => Err(crate::verbs::deadline::passed("waiting for the template")),
        },
    }
}

/// A worker is one once its start state is applied, and of a command the program executed; until then
/// failures are the start's. A spare, for which there is a limit, that did not begin is replaced: false.
async fn begun(
    daemon: &Arc<Daemon>,
    worker: &Arc<Worker>,
    limit: Option<Duration>,
) -> Result<bool, Problem> {
    let reports = worker.first_reports(limit).await;
    let unheard = !reports.applied && reports.start_failed.is_none() && !worker.has_timed_out();
    let result = failed::check_begun(
        worker.id,
        &worker.description,
        worker.has_timed_out(),
        reports,
    );
    if result.is_ok() {
        daemon.workers.confirm(worker);
        daemon.events.publish(Record::worker_started(worker));
    }
    let replaced = limit.is_some() && unheard;
    if replaced {
        tracing::debug!(pid = worker.pid, "a spare did not begin, replaced");
        worker.give_up_place();
        // It may be stopped.
        if let Some(pidfd) = worker.pidfd() {
            let _ = mpfork_sys::sentinel::signal(worker.pid, pidfd.as_fd(), nix::libc::SIGKILL);
        }
    }
    if let Some(ended) = worker.settle() {
        finish(daemon, worker, ended);
    }
    match result {
        Err(_) if replaced => Ok(false),
        result => result.map(|()| true),
    }
}

/// Warming takes its time: nothing is begun for a client that has ended meanwhile.
fn check_owner(
    daemon: &Daemon,
    request: &StartRequest,
    owner: Option<Owner>,
) -> Result<(), Problem> {
    match owner {
        Some(owner) if !request.start.keep && daemon.peers.is_gone(owner) => Err(Problem::new(
            Reason::WorkerLost,
            "the client that asked for this worker has ended",
        )
        .with("worker", "")
        .with("message", "its owner is gone")),
        _ => Ok(()),
    }
}

/// A spare that has its assignment.
enum Assigned {
    /// It has been waiting for it.
    Waiting(Spare),
    /// It is being forked, which takes less than a fork that is yet to begin.
    Coming(u64, Coming),
    /// There is none.
    None,
}

/// A spare that has its assignment, if there is one. It is nobody's until it is enrolled or promised, and
/// should it end meanwhile nobody would know: so this does not wait.
fn assigned_spare(
    request: &StartRequest,
    id: WorkerId,
    zygote: &Zygote,
) -> Result<Assigned, Problem> {
    if let Some(mut spare) = zygote.take_spare() {
        return match try_assign(request, id, StartWay::Spare, zygote, &mut spare.control) {
            Ok(()) => Ok(Assigned::Waiting(spare)),
            Err(AssignError::Io(error)) if is_congested(&error) => {
                zygote.put_back(spare);
                Ok(Assigned::None)
            }
            // It has ended, which shows in its reports.
            Err(AssignError::Io(error)) if is_hung_up(&error) => Ok(Assigned::Waiting(spare)),
            Err(error) => Err(not_assigned(error)),
        };
    }
    let Some((number, mut coming)) = zygote.take_coming() else {
        return Ok(Assigned::None);
    };
    match try_assign(request, id, StartWay::Fork, zygote, &mut coming.control) {
        Ok(()) => Ok(Assigned::Coming(number, coming)),
        // It could not be forked, of which the zygote's answer is on its way.
        Err(AssignError::Io(error)) if is_congested(&error) || is_hung_up(&error) => {
            zygote.put_back_coming(number, coming);
            Ok(Assigned::None)
        }
        Err(error) => Err(not_assigned(error)),
    }
}

/// Puts the assignment into the worker's own socket. While the user has too many descriptors in flight it
/// waits, for at most this time.
async fn assign(
    request: &StartRequest,
    id: WorkerId,
    way: StartWay,
    zygote: &Zygote,
    control: &mut Control,
    limit: Duration,
) -> Result<(), Problem> {
    while_congested(limit, || try_assign(request, id, way, zygote, control))
        .await
        .map_err(not_assigned)
}

fn not_assigned(error: AssignError) -> Problem {
    match error {
        AssignError::Io(error) if is_congested(&error) => failed::too_many_in_flight(&error),
        AssignError::Io(error) => Problem::limit("open files of mpforkd", error),
        AssignError::Frame(error) => Problem::bad_request("spec", error),
    }
}

fn try_assign(
    request: &StartRequest,
    id: WorkerId,
    way: StartWay,
    zygote: &Zygote,
    control: &mut Control,
) -> Result<(), AssignError> {
    let assignment = request.assignment(id, way, zygote);
    control.assign(&assignment, &request.descriptors)?;
    if control.is_undelivered() {
        let delivery = control.delivery()?;
        let held = request.held.clone();
        tokio::spawn(async move {
            delivery.run().await;
            drop(held);
        });
    }
    Ok(())
}

fn is_hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

async fn fork(
    daemon: &Daemon,
    zygote: &Arc<Zygote>,
    template: &Template,
    seed: Box<Seed>,
    theirs: OwnedFd,
) -> ForkReply {
    match zygote.fork(seed, theirs) {
        Ok(Some((number, answer))) => forked(daemon, zygote, template, number, answer).await,
        Ok(None) => ForkReply::Gone,
        Err(error) => ForkReply::Failed(Problem::limit("open files of mpforkd", error)),
    }
}

/// Waits for the answer to a Fork.
async fn forked(
    daemon: &Daemon,
    zygote: &Zygote,
    template: &Template,
    number: u64,
    mut answer: oneshot::Receiver<ForkReply>,
) -> ForkReply {
    let limit = daemon.config().timeouts.fork;
    let begun = Instant::now();
    let reply = loop {
        match tokio::time::timeout(limit, &mut answer).await {
            Ok(reply) => break reply,
            // Others come first.
            Err(_) if zygote.has_answered(limit) => {}
            Err(_) if zygote.withdraw_congested(number) => {
                let error = rustix::io::Errno::TOOMANYREFS.into();
                return ForkReply::Failed(failed::too_many_in_flight(&error));
            }
            Err(_) if zygote.may_have_waited(limit, begun.elapsed()) => {}
            Err(_) if zygote.give_up(number) => {
                // It answers nobody any more: the next one may. Its workers go on.
                zygote.child.kill();
                return ForkReply::Failed(failed::no_fork(
                    zygote.child.pid,
                    &template.display,
                    limit,
                ));
            }
            // Answered in this very moment.
            Err(_) => break answer.await,
        }
    };
    reply.unwrap_or(ForkReply::Gone)
}
