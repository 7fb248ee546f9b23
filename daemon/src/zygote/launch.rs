//! Launching a zygote: executed, greeted, preloaded.

use super::capture::Capture;
use super::link::{Incoming, Link, LinkError};
use super::{Zygote, driver};
use crate::children::Child;
use crate::daemon::Daemon;
use crate::features::Feature;
use crate::template::Template;
use crate::template::spec::Spec;
use mpfork_driver::failed;
use mpfork_proto::link::zygote_frame::Frame;
use mpfork_proto::link::{self as wire, supervisor_frame};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{self, OnPreloadError, WarmProgress};
use mpfork_sys::limits;
use mpfork_sys::spawn::{Launch, spawn};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much of a zygote's output goes with an error.
pub(super) const OUTPUT: usize = 1500;

/// No preload takes longer: what a program declares must not be beyond what a clock can hold.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A zygote that is not ready yet.
struct Candidate<'a> {
    daemon: &'a Arc<Daemon>,
    template: &'a Arc<Template>,
    process: Process,
    link: Link,
    incoming: Incoming,
    capture: Capture,
}

/// What a zygote tells before it forks.
struct Greeted {
    functions: Vec<String>,
    ready: wire::Ready,
}

/// Its process; killed when dropped before it is ready.
struct Process(Option<Arc<Child>>);

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            child.kill();
        }
    }
}

/// Launches a zygote and waits until it is ready to fork.
pub(crate) async fn launch(
    daemon: &Arc<Daemon>,
    template: &Arc<Template>,
    spec: &Spec,
) -> Result<Arc<Zygote>, Problem> {
    let launched = make_ready(daemon, template, spec).await;
    let ready_after = launched.as_ref().ok().map(|zygote| zygote.preload_time);
    template.stats.record_launch(ready_after);
    launched
}

async fn make_ready(
    daemon: &Arc<Daemon>,
    template: &Arc<Template>,
    spec: &Spec,
) -> Result<Arc<Zygote>, Problem> {
    let launched_at = Instant::now();
    let mut candidate = execute(daemon, template, spec)
        .map_err(|error| failed::execution(&template.display, &spec.path, &error))?;
    let name = &template.display;
    let zygote = candidate.process.0.as_ref().map_or(0, |child| child.pid);
    tracing::info!(template = name, zygote, "zygote launched");
    match candidate.greet(spec).await {
        Ok(greeted) => {
            let zygote = candidate.into_zygote(greeted, launched_at.elapsed())?;
            tracing::info!(template = name, zygote = zygote.child.pid, preload_time = ?zygote.preload_time, "zygote ready");
            Ok(zygote)
        }
        Err(problem) => {
            tracing::warn!(template = name, zygote, %problem, "zygote failed");
            Err(problem)
        }
    }
}

fn execute<'a>(
    daemon: &'a Arc<Daemon>,
    template: &'a Arc<Template>,
    spec: &Spec,
) -> std::io::Result<Candidate<'a>> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (read, write) = std::io::pipe()?;
    let null = File::open("/dev/null")?;
    let capture = Capture::new(
        template.display.clone(),
        read.into(),
        Arc::clone(&template.output),
    )?;
    let link = Link::new(ours.into())?;
    let argv = spec.argv();
    // mpforkd's own program preloads nothing.
    let huge_pages = template.compacts(daemon) && !template.is_builtin();
    let launch = |room| {
        spawn(&Launch {
            program: spec.program.as_fd(),
            argv: &argv,
            room,
            env: &spec.env,
            input: null.as_fd(),
            output: write.as_fd(),
            link: theirs.as_fd(),
            variable: wire::LINK_ENV,
            door: None,
            session: true,
            huge_pages,
        })
    };
    let pid = launch(spec.room).or_else(|error| {
        if error.raw_os_error() != Some(nix::libc::E2BIG) || spec.room == 0 {
            return Err(error);
        }
        let pid = launch(0)?;
        tracing::warn!(
            template = template.display,
            "its environment, and the limit of the stack, leave no room for arguments of workers that go \
             on with main: std::env::args gives them the template's"
        );
        Ok(pid)
    })?;
    // Known as a child before it can be reaped: there is one reaper, and it runs on this thread.
    let process = Process(Some(daemon.children.add(pid)));
    tokio::spawn(capture.clone().read());
    let candidate = Candidate {
        daemon,
        template,
        process,
        link,
        incoming: Incoming::default(),
        capture,
    };
    // mpforkd has raised its own limit of open files; zygotes get the one it was given.
    limits::set(pid, daemon.original_nofile)?;
    for limit in &spec.rlimits {
        limits::set(pid, *limit)?;
    }
    Ok(candidate)
}

impl Candidate<'_> {
    /// From Hello to Ready.
    async fn greet(&mut self, spec: &Spec) -> Result<Greeted, Problem> {
        let (version_min, version_max) = mpfork_proto::link::VERSIONS;
        self.send(supervisor_frame::Frame::Hello(wire::Hello {
            version_min,
            version_max,
            end_groups: !self.daemon.features.has(Feature::GroupSignal),
            ..wire::Hello::default()
        }))
        .await?;
        let hello = self.daemon.config().timeouts.hello;
        let welcome = match tokio::time::timeout(hello, self.receive()).await {
            Ok(Ok(Frame::Welcome(welcome))) => welcome,
            // It has threads already.
            Ok(Ok(Frame::PreloadFailed(failed))) => return Err(self.preload_failed(failed)),
            Ok(Ok(_)) => return Err(self.fail("it broke the protocol: no Welcome")),
            Ok(Err(problem)) => return Err(problem),
            Err(_) => {
                let what = failed::no_welcome(hello);
                return Err(self.fail(what));
            }
        };
        if !(version_min..=version_max).contains(&welcome.version) {
            let (name, program) = (&self.template.display, welcome.program);
            return Err(failed::version(
                name,
                program,
                "mpforkd",
                crate::NAME_AND_VERSION,
            ));
        }
        // What is loaded where nothing can be forked from it is of no use.
        let names = match self.daemon.features.has(Feature::Fork) {
            true => spec.preloads.clone(),
            false => Some(Vec::new()),
        };
        let all = names.is_none();
        self.send(supervisor_frame::Frame::Preload(wire::Preload {
            names: names.unwrap_or_default(),
            all,
            on_error: spec.on_preload_error.into(),
            compact: self.compact(),
        }))
        .await?;
        let ready = self.preload().await?;
        let template = &self.template.display;
        for failed in ready
            .preloads
            .iter()
            .filter(|report| !report.error.is_empty())
        {
            let (preload, error) = (&failed.name, &failed.error);
            if spec.on_preload_error == OnPreloadError::Warn {
                tracing::warn!(
                    template,
                    preload,
                    error,
                    "a preload failed: served without it"
                );
            } else {
                tracing::debug!(template, preload, error, "a preload failed, as it may");
            }
        }
        Ok(Greeted {
            functions: welcome.functions,
            ready,
        })
    }

    /// How its memory is to be compacted, if it is.
    fn compact(&self) -> Option<wire::Compact> {
        let time_limit = self.daemon.config().compaction.time_limit;
        self.template.compacts(self.daemon).then(|| wire::Compact {
            time_limit: Some(crate::convert::to_wire(time_limit)),
            collapse: self.daemon.features.has(Feature::Collapse),
        })
    }

    /// From Preload to Ready, each preload within its limit.
    async fn preload(&mut self) -> Result<wire::Ready, Problem> {
        let begun = Instant::now();
        let standard = self.daemon.config().timeouts.preload;
        let mut current = String::new();
        let mut limit = standard.min(LONGEST);
        let mut deadline = begun + limit;
        let (mut loaded, mut total) = (false, 0);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(frame) = tokio::time::timeout(left, self.receive()).await else {
                return Err(match loaded {
                    false => self.preload_timed_out(&current, limit),
                    true => self.fail(failed::not_ready(limit)),
                });
            };
            match frame? {
                Frame::Progress(progress) if progress.loaded => {
                    loaded = true;
                    let compaction = self.daemon.config().compaction.time_limit;
                    limit = standard.saturating_add(compaction).min(LONGEST);
                    deadline = Instant::now() + limit;
                    self.template.set_progress(Some(WarmProgress {
                        index: total,
                        total,
                        message: "all is loaded: getting ready to fork".to_owned(),
                        elapsed: Some(crate::convert::to_wire(begun.elapsed())),
                        ..WarmProgress::default()
                    }));
                }
                Frame::Progress(progress) => {
                    total = progress.total;
                    if progress.preload != current {
                        current.clone_from(&progress.preload);
                        limit = progress
                            .time_limit
                            .and_then(|limit| Duration::try_from(limit).ok())
                            .unwrap_or(standard)
                            .min(LONGEST);
                        deadline = Instant::now() + limit;
                    }
                    self.template.set_progress(Some(WarmProgress {
                        preload: progress.preload,
                        // From 1 for people.
                        index: progress.index.saturating_add(1),
                        total: progress.total,
                        fraction: progress.fraction,
                        message: progress.message,
                        elapsed: Some(crate::convert::to_wire(begun.elapsed())),
                    }));
                }
                Frame::Ready(ready) => return Ok(ready),
                Frame::PreloadFailed(failed) => return Err(self.preload_failed(failed)),
                _ => return Err(self.fail("it broke the protocol while preloading")),
            }
        }
    }

    fn preload_timed_out(&self, preload: &str, limit: Duration) -> Problem {
        failed::preload_timed_out(
            &self.template.display,
            preload,
            limit,
            &self.capture.tail(OUTPUT),
        )
    }

    fn preload_failed(&self, failed: wire::PreloadFailed) -> Problem {
        failed::preload(&self.template.display, failed, &self.capture.tail(OUTPUT))
    }

    async fn send(&self, frame: supervisor_frame::Frame) -> Result<(), Problem> {
        match self.link.send(frame, Vec::new()) {
            Ok(()) => Ok(()),
            Err(LinkError::Io(_)) => Err(self.ended().await),
            Err(error) => Err(self.fail(error)),
        }
    }

    async fn receive(&mut self) -> Result<Frame, Problem> {
        match self.link.receive(&mut self.incoming).await {
            Ok(Some((frame, _descriptors))) => Ok(frame),
            Ok(None) => Err(self.ended().await),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn fail(&self, what: impl std::fmt::Display) -> Problem {
        failed::zygote(&self.template.display, what, &self.capture.tail(OUTPUT))
    }

    /// The link has ended: with the process, most often, whose status then says more.
    async fn ended(&self) -> Problem {
        // A program that closed its link and goes on is killed when the candidate is dropped.
        let patience = Duration::from_secs(1);
        let Some(child) = &self.process.0 else {
            return self.fail("it has no process");
        };
        let what = match tokio::time::timeout(patience, child.ended()).await {
            Ok(status) => failed::ended_early(&status),
            Err(_) => failed::LINK_CLOSED.to_owned(),
        };
        self.fail(what)
    }

    fn into_zygote(
        mut self,
        greeted: Greeted,
        preload_time: Duration,
    ) -> Result<Arc<Zygote>, Problem> {
        let Some(child) = self.process.0.take() else {
            return Err(failed::zygote(
                &self.template.display,
                "it has no process",
                "",
            ));
        };
        let Greeted { functions, ready } = greeted;
        let compacted_in = ready.compaction.as_ref().and_then(|done| done.time);
        let compacted_in = compacted_in.and_then(|time| Duration::try_from(time).ok());
        let zygote = Arc::new(Zygote {
            child,
            link: self.link,
            ready_at: Instant::now(),
            preload_time,
            spawn_time: preload_time.saturating_sub(compacted_in.unwrap_or_default()),
            reports: reports(ready.preloads),
            kept: failed::kept(ready.kept_descriptors),
            build_id: ready.build_id,
            inherited: ready.inherited,
            compaction: std::sync::Mutex::default(),
            functions: functions.into_iter().collect(),
            capture: self.capture,
            state: std::sync::Mutex::default(),
            gone: tokio::sync::watch::Sender::new(false),
            running: tokio::sync::watch::Sender::new(0),
        });
        if let Some(compaction) = ready.compaction {
            zygote.compacted(compaction);
        }
        tokio::spawn(driver::drive(
            Arc::clone(self.daemon),
            Arc::clone(self.template),
            Arc::clone(&zygote),
            self.incoming,
        ));
        Ok(zygote)
    }
}

fn reports(reports: Vec<wire::PreloadReport>) -> Vec<v1::PreloadReport> {
    let convert = |report: wire::PreloadReport| v1::PreloadReport {
        name: report.name,
        time: report.time,
        error: report.error,
    };
    reports.into_iter().map(convert).collect()
}
