//! How a template moves between its phases.

use super::spec::Spec;
use super::{Phase, State, Template};
use crate::config::TemplateConfig;
use crate::daemon::Daemon;
use crate::zygote::{Zygote, launch::launch};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::EventKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Failures in a row after which a template counts as failed.
const FAILURES: u32 = 5;
/// How long a failed template is left alone before a start may try it again.
const FAILED_PAUSE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A zygote that lived this long did not fail for what made the ones before it fail.
const STABLE: Duration = Duration::from_secs(30);

/// Why a zygote drains.
pub(super) const REBUILT: &str = "its program was rebuilt";

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

impl State {
    fn failed(&mut self, problem: Problem, relaunching: bool) {
        // A limit that was reached says nothing about the template.
        if problem.reason != Reason::LimitReached {
            self.failures = self.failures.saturating_add(1);
        }
        self.last_error = Some(problem.clone());
        let now = Instant::now();
        self.phase = if self.failures >= FAILURES {
            Phase::Failed {
                until: now + FAILED_PAUSE,
                problem,
            }
        } else {
            Phase::Backoff {
                until: now + pause(self.failures),
                problem,
                relaunching,
            }
        };
    }

    /// When it may be launched again, after a failure.
    fn due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Cold | Phase::Warming | Phase::Warm(_) => None,
            Phase::Backoff { until, .. } | Phase::Failed { until, .. } => Some(*until),
        }
    }

    /// The recipe to launch from, if it is time to launch.
    fn begin(&mut self) -> Option<Spec> {
        let due = match &self.phase {
            Phase::Cold => true,
            Phase::Warming | Phase::Warm(_) => false,
            Phase::Backoff { until, .. } | Phase::Failed { until, .. } => Instant::now() >= *until,
        };
        due.then(|| {
            self.phase = Phase::Warming;
            self.spec.clone()
        })
    }
}

impl Template {
    /// The warm zygote; launches one when there is none.
    pub(crate) async fn zygote(
        self: &Arc<Self>,
        daemon: &Arc<Daemon>,
    ) -> Result<Arc<Zygote>, Problem> {
        let mut waiting = None;
        if self.is_replaced() {
            waiting = Some(daemon.wait_for_template()?);
            self.follow_program(daemon).await;
        }
        let mut ending = daemon.ending.subscribe();
        let mut drain = daemon.drain.subscribe();
        loop {
            // A zygote that gets ready now is let go at once: nothing to wait for.
            daemon.accepting()?;
            let mut changed = self.changed.subscribe();
            let due = {
                let mut state = self.state();
                state.last_used = Instant::now();
                match &state.phase {
                    Phase::Warm(zygote) if !zygote.is_leaving() => return Ok(Arc::clone(zygote)),
                    Phase::Backoff {
                        problem,
                        relaunching: false,
                        until,
                    }
                    | Phase::Failed { problem, until }
                        if Instant::now() < *until =>
                    {
                        return Err(problem.clone());
                    }
                    _ => {}
                }
                if state.removed {
                    return Err(super::table::unknown(&self.label));
                }
                if let Some(spec) = state.begin() {
                    drop(state);
                    self.launch(daemon, spec);
                    None
                } else {
                    state.due()
                }
            };
            if waiting.is_none() {
                waiting = Some(daemon.wait_for_template()?);
            }
            let pause = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = changed.changed() => {}
                _ = ending.changed() => {}
                _ = drain.changed() => {}
                () = pause => {}
            }
        }
    }

    /// Launches a zygote in the background. The phase is `Warming`.
    fn launch(self: &Arc<Self>, daemon: &Arc<Daemon>, spec: Spec) {
        self.set_progress(None);
        self.notify();
        self.publish(daemon, EventKind::TemplateWarming, |event| event);
        let (template, daemon) = (Arc::clone(self), Arc::clone(daemon));
        tokio::spawn(async move {
            let result = launch(&daemon, &template, &spec).await;
            template.launched(&daemon, &spec.digest, result);
        });
    }

    fn launched(
        self: &Arc<Self>,
        daemon: &Arc<Daemon>,
        digest: &str,
        result: Result<Arc<Zygote>, Problem>,
    ) {
        let mut state = self.state();
        let overtaken = !matches!(state.phase, Phase::Warming);
        // By a reload, whose zygote serves; or by another configuration, whose zygote is launched by
        // whoever waits.
        if overtaken || state.spec.digest != digest {
            if !overtaken {
                state.phase = Phase::Cold;
            }
            drop(state);
            if let Ok(zygote) = result {
                self.drain(daemon, &zygote, "a reloaded zygote was faster");
            }
            self.notify();
            return;
        }
        let ready = match result {
            Ok(zygote) if state.removed || daemon.accepting().is_err() => {
                state.phase = Phase::Cold;
                drop(state);
                self.drain(daemon, &zygote, "it is not needed any more");
                self.notify();
                return;
            }
            Ok(zygote) => {
                state.phase = Phase::Warm(Arc::clone(&zygote));
                Ok(zygote)
            }
            Err(problem) => {
                state.failed(problem.clone(), false);
                Err(problem)
            }
        };
        drop(state);
        self.notify();
        match &ready {
            Ok(zygote) => self.publish_warm(daemon, zygote),
            Err(problem) => self.publish_failed(daemon, 0, problem),
        }
        if let Ok(zygote) = ready {
            daemon.sample_memory(self, zygote.child.pid);
            self.tend_spares(daemon, daemon.has_room_for_spares());
            if zygote.is_leaving() {
                // It died before it was made the template's.
                self.on_gone(daemon, &zygote, false, "right after it was ready");
            }
        }
    }

    /// A zygote of this template is gone.
    pub(crate) fn on_gone(
        self: &Arc<Self>,
        daemon: &Arc<Daemon>,
        zygote: &Arc<Zygote>,
        asked: bool,
        status: &str,
    ) {
        let mut state = self.state();
        state
            .draining
            .retain(|draining| !Arc::ptr_eq(draining, zygote));
        let current = matches!(&state.phase, Phase::Warm(warm) if Arc::ptr_eq(warm, zygote));
        let mut failed = None;
        if current && asked {
            state.phase = Phase::Cold;
        } else if current {
            if zygote.ready_at.elapsed() >= STABLE {
                state.failures = 0;
            }
            let name = &self.display;
            let message = format!("it died ({status}) after it was ready");
            let problem = Problem::new(
                Reason::ZygoteFailed,
                format!("the zygote of {name} failed: {message}"),
            )
            .with("template", name)
            .with("message", message)
            .with("output", zygote.output());
            state.failed(problem.clone(), true);
            failed = Some(problem);
        }
        let until = match &state.phase {
            Phase::Backoff {
                until,
                relaunching: true,
                ..
            } => Some(*until),
            _ => None,
        };
        drop(state);
        self.notify();
        if let Some(problem) = failed {
            self.publish_failed(daemon, zygote.child.pid, &problem);
        }
        if let Some(until) = until.filter(|_| current && !daemon.is_shutting_down()) {
            let (template, daemon) = (Arc::clone(self), Arc::clone(daemon));
            tokio::spawn(async move {
                tokio::time::sleep_until(until.into()).await;
                template.relaunch(&daemon);
            });
        }
    }

    fn relaunch(self: &Arc<Self>, daemon: &Arc<Daemon>) {
        let mut state = self.state();
        let due = matches!(state.phase, Phase::Backoff { .. });
        if !due || state.removed || state.superseded || daemon.accepting().is_err() {
            return;
        }
        let spec = state.begin();
        drop(state);
        if let Some(spec) = spec {
            self.launch(daemon, spec);
        }
    }

    /// Launches unless warm, whatever failed before: somebody asks for it by name.
    pub(crate) async fn warm(
        self: &Arc<Self>,
        daemon: &Arc<Daemon>,
    ) -> Result<Arc<Zygote>, Problem> {
        {
            let mut state = self.state();
            if matches!(state.phase, Phase::Backoff { .. } | Phase::Failed { .. }) {
                state.phase = Phase::Cold;
                state.failures = 0;
            }
        }
        self.zygote(daemon).await
    }

    /// Warms a new zygote beside the present one, which stays when that fails.
    pub(crate) async fn reload(self: &Arc<Self>, daemon: &Arc<Daemon>) -> Result<(), Problem> {
        let config = self.config();
        let spec = match &config {
            Some(config) => super::follow::read_spec(daemon, config).await?,
            None => self.spec(),
        };
        {
            let mut state = self.state();
            if state.reloading || matches!(state.phase, Phase::Warming) {
                drop(state);
                return Err(self.busy("it is being warmed"));
            }
            state.reloading = true;
        }
        // In a task of its own: a caller that gives up must not leave `reloading` set.
        let (template, shared) = (Arc::clone(self), Arc::clone(daemon));
        self.publish(daemon, EventKind::TemplateWarming, |event| event);
        let reloaded = tokio::spawn(async move {
            let result = launch(&shared, &template, &spec).await;
            template.reloaded(&shared, spec, config.as_ref(), result)
        });
        reloaded.await.unwrap_or_else(|error| {
            Err(Problem::new(Reason::Internal, "the reload was interrupted").with("detail", error))
        })
    }

    fn reloaded(
        self: &Arc<Self>,
        daemon: &Arc<Daemon>,
        spec: Spec,
        config: Option<&Arc<TemplateConfig>>,
        result: Result<Arc<Zygote>, Problem>,
    ) -> Result<(), Problem> {
        let mut state = self.state();
        state.reloading = false;
        let zygote = match result {
            Ok(zygote) => zygote,
            Err(problem) => {
                state.last_error = Some(problem.clone());
                drop(state);
                self.publish_failed(daemon, 0, &problem);
                return Err(problem);
            }
        };
        if state.removed || daemon.accepting().is_err() {
            drop(state);
            self.drain(daemon, &zygote, "it is not needed any more");
            daemon.accepting()?;
            return Err(super::table::unknown(&self.label));
        }
        if state.config.as_ref().map(Arc::as_ptr) != config.map(Arc::as_ptr) {
            drop(state);
            self.drain(daemon, &zygote, "its configuration was changed");
            return Err(self.busy("its configuration was changed meanwhile"));
        }
        state.failures = 0;
        state.superseded = false;
        state.spec = spec;
        let pid = zygote.child.pid;
        let old = std::mem::replace(&mut state.phase, Phase::Warm(Arc::clone(&zygote)));
        drop(state);
        self.notify();
        self.publish_warm(daemon, &zygote);
        if let Phase::Warm(old) = old {
            self.drain(daemon, &old, "a reloaded zygote has taken over");
        }
        daemon.sample_memory(self, pid);
        self.tend_spares(daemon, daemon.has_room_for_spares());
        Ok(())
    }

    pub(crate) fn busy(&self, detail: &str) -> Problem {
        let name = &self.display;
        Problem::new(Reason::TemplateBusy, format!("template {name}: {detail}"))
            .with("template", name)
            .with("detail", detail)
    }

    /// Tells a zygote to leave when its workers have ended, and sees to it that it does.
    fn drain(self: &Arc<Self>, daemon: &Arc<Daemon>, zygote: &Arc<Zygote>, why: &str) {
        let pid = zygote.child.pid;
        self.publish(daemon, EventKind::TemplateDraining, |event| {
            event.zygote(pid).because(why)
        });
        self.let_go(daemon, zygote);
    }

    fn let_go(self: &Arc<Self>, daemon: &Arc<Daemon>, zygote: &Arc<Zygote>) {
        zygote.retire();
        self.state().draining.push(Arc::clone(zygote));
        let (zygote, grace) = (Arc::clone(zygote), daemon.config().timeouts.grace);
        let template = Arc::clone(self);
        tokio::spawn(async move {
            zygote.idle().await;
            if tokio::time::timeout(grace, zygote.gone()).await.is_err() {
                tracing::warn!(
                    zygote = zygote.child.pid,
                    "did not leave when told to, killed"
                );
                zygote.child.kill();
                zygote.gone().await;
            }
            // It may have been gone before it was put among the draining ones.
            let mut state = template.state();
            state
                .draining
                .retain(|draining| !Arc::ptr_eq(draining, &zygote));
        });
    }

    /// Lets the warm zygote go.
    pub(crate) fn cool(self: &Arc<Self>, daemon: &Arc<Daemon>, why: &str) {
        if let Some(zygote) = self.take_warm() {
            self.drain(daemon, &zygote, why);
        }
    }

    /// The warm zygote, which is the template's no more.
    fn take_warm(&self) -> Option<Arc<Zygote>> {
        let mut state = self.state();
        let Phase::Warm(zygote) = &state.phase else {
            return None;
        };
        let zygote = Arc::clone(zygote);
        state.phase = Phase::Cold;
        state.failures = 0;
        drop(state);
        self.notify();
        Some(zygote)
    }

    /// Lets the zygote go when it has been idle for long, or at once when it is superseded.
    pub(crate) fn retire_idle(self: &Arc<Self>, daemon: &Arc<Daemon>) {
        let idle = {
            let state = self.state();
            let longest = if state.superseded {
                Duration::from_secs(1)
            } else if state.config.as_ref().is_some_and(|config| config.warm) {
                return;
            } else {
                daemon.config().timeouts.idle
            };
            matches!(state.phase, Phase::Warm(_))
                && self.stats.placed() == 0
                && state.last_used.elapsed() >= longest
        };
        if idle && let Some(zygote) = self.take_warm() {
            tracing::info!(template = self.display, "idle, its zygote is let go");
            let pid = zygote.child.pid;
            self.publish(daemon, EventKind::TemplateRetired, |event| {
                event.zygote(pid)
            });
            self.let_go(daemon, &zygote);
        }
    }

    /// Whether it is cold, and how long it has not been used; `None` while somebody uses it.
    pub(crate) fn idle(&self) -> Option<(bool, Duration)> {
        let state = self.state();
        let used = state.last_used;
        let warming = matches!(state.phase, Phase::Warming);
        let cold = !matches!(state.phase, Phase::Warm(_)) && state.draining.is_empty();
        drop(state);
        (!warming && self.stats.placed() == 0).then(|| (cold, used.elapsed()))
    }

    /// Another build of its program was registered: it leaves when idle.
    pub(crate) fn supersede(&self, daemon: &Daemon) {
        self.state().superseded = true;
        self.notify();
        let pid = self.warm_pid().unwrap_or(0);
        self.publish(daemon, EventKind::TemplateDraining, |event| {
            event.zygote(pid).because(REBUILT)
        });
    }

    /// Forgets everything but what runs.
    pub(crate) fn remove(self: &Arc<Self>, daemon: &Arc<Daemon>) {
        self.state().removed = true;
        self.output.close();
        self.cool(daemon, "the template was removed");
        self.notify();
        self.publish(daemon, EventKind::TemplateRemoved, |event| event);
    }

    /// The configuration says something else of it: a changed recipe gets a new zygote, and the old one
    /// drains.
    pub(crate) fn reconfigure(
        self: &Arc<Self>,
        daemon: &Arc<Daemon>,
        config: Arc<TemplateConfig>,
        spec: Spec,
    ) {
        let mut state = self.state();
        state.config = Some(config);
        let changed = state.spec.digest != spec.digest;
        state.spec = spec;
        // What is being warmed finds the recipe changed when it is ready.
        if changed && !matches!(state.phase, Phase::Warm(_) | Phase::Warming) {
            state.phase = Phase::Cold;
            state.failures = 0;
        }
        drop(state);
        if changed {
            self.cool(daemon, "its configuration was changed");
            self.notify();
        }
    }

    fn notify(&self) {
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        assert_eq!(pause(1), FIRST_PAUSE);
        assert_eq!(pause(2), FIRST_PAUSE * 2);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
        assert!((1..20).all(|n| pause(n) <= pause(n + 1)));
    }
}
