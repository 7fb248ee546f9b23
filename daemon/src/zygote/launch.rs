//! Launching a zygote: executed, greeted, preloaded.

use super::capture::Capture;
use super::link::{Incoming, Link, LinkError};
use super::{Zygote, driver};
use crate::children::Child;
use crate::daemon::Daemon;
use crate::features::Feature;
use crate::template::Template;
use crate::template::spec::Spec;
use mpfork_proto::link::zygote_frame::Frame;
use mpfork_proto::link::{self as wire, supervisor_frame};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{self, WarmProgress};
use mpfork_sys::limits;
use mpfork_sys::spawn::{LINK_NUMBER, Launch, spawn};
use std::ffi::CString;
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
    let mut candidate = execute(daemon, template, spec).map_err(|error| {
        use nix::libc::{EAGAIN, EMFILE, ENFILE, ENOMEM};
        match error.raw_os_error() {
            Some(EMFILE | ENFILE) => Problem::limit("open files", error),
            Some(EAGAIN) => Problem::limit("processes", error),
            Some(ENOMEM) => Problem::limit("memory", error),
            _ => failed(template, format!("it can't be executed: {error}"), "")
                .with("program", spec.path.display()),
        }
    })?;
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
    let mut env = spec.env.clone();
    let link = format!("{}={LINK_NUMBER}", mpfork_proto::link::LINK_ENV);
    env.push(CString::new(link)?);
    let capture = Capture::new(
        template.display.clone(),
        read.into(),
        Arc::clone(&template.output),
    )?;
    let link = Link::new(ours.into())?;
    let argv = spec.argv();
    let launch = |room| {
        spawn(&Launch {
            program: spec.program.as_fd(),
            argv: &argv,
            room,
            env: &env,
            input: null.as_fd(),
            output: write.as_fd(),
            link: theirs.as_fd(),
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

fn failed(template: &Template, what: impl std::fmt::Display, output: &str) -> Problem {
    let name = &template.display;
    let mut message = format!("the zygote of {name} failed: {what}");
    if !output.is_empty() {
        message.push_str("; it printed: ");
        message.push_str(output);
    }
    Problem::new(Reason::ZygoteFailed, message)
        .with("template", name)
        .with("message", what)
        .with("output", output)
}

impl Candidate<'_> {
    /// From Hello to Ready.
    async fn greet(&mut self, spec: &Spec) -> Result<Greeted, Problem> {
        let (version_min, version_max) = mpfork_proto::link::VERSIONS;
        self.send(supervisor_frame::Frame::Hello(wire::Hello {
            version_min,
            version_max,
            end_groups: !self.daemon.features.has(Feature::GroupSignal),
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
                let what = format!(
                    "it did not answer within {}: does it call freeze_support() first thing in main?",
                    humantime::format_duration(hello)
                );
                return Err(self.fail(what));
            }
        };
        if !(version_min..=version_max).contains(&welcome.version) {
            return Err(Problem::new(
                Reason::VersionMismatch,
                format!(
                    "the zygote of {} speaks no version of the link protocol that mpforkd speaks",
                    self.template.display
                ),
            )
            .with("client", welcome.program)
            .with("daemon", crate::NAME_AND_VERSION));
        }
        self.send(supervisor_frame::Frame::Preload(wire::Preload {
            names: spec.preloads.clone().unwrap_or_default(),
            all: spec.preloads.is_none(),
        }))
        .await?;
        Ok(Greeted {
            functions: welcome.functions,
            ready: self.preload().await?,
        })
    }

    /// From Preload to Ready, each preload within its limit.
    async fn preload(&mut self) -> Result<wire::Ready, Problem> {
        let begun = Instant::now();
        let standard = self.daemon.config().timeouts.preload;
        let mut current = String::new();
        let mut limit = standard.min(LONGEST);
        let mut deadline = begun + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(frame) = tokio::time::timeout(left, self.receive()).await else {
                return Err(self.preload_timed_out(&current, limit));
            };
            match frame? {
                Frame::Progress(progress) => {
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
        let limit = humantime::format_duration(limit);
        let name = &self.template.display;
        Problem::new(
            Reason::PreloadTimedOut,
            format!("preload {preload:?} of {name} did not end within {limit}"),
        )
        .with("template", name)
        .with("preload", preload)
        .with("limit", limit)
        .with("output", self.capture.tail(OUTPUT))
    }

    fn preload_failed(&self, failed: wire::PreloadFailed) -> Problem {
        let name = &self.template.display;
        if failed.bad_request {
            return Problem::bad_request("preloads", failed.message).with("template", name);
        }
        let preload = failed.preload;
        if !failed.threads.is_empty() {
            let threads = failed.threads.join(", ");
            let message = if preload.is_empty() {
                format!("the zygote of {name} failed: {}: {threads}", failed.message)
            } else {
                format!("preload {preload:?} of {name} left threads running: {threads}")
            };
            return Problem::new(Reason::ZygoteHasThreads, message)
                .with("template", name)
                .with("preload", preload)
                .with("threads", threads);
        }
        Problem::new(
            Reason::PreloadFailed,
            format!("preload {preload:?} of {name} failed: {}", failed.message),
        )
        .with("template", name)
        .with("preload", preload)
        .with("message", failed.message)
        .with("trace", failed.trace)
        .with("output", self.capture.tail(OUTPUT))
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
        failed(self.template, what, &self.capture.tail(OUTPUT))
    }

    /// The link has ended: with the process, most often, whose status then says more.
    async fn ended(&self) -> Problem {
        // A program that closed its link and goes on is killed when the candidate is dropped.
        let patience = Duration::from_secs(1);
        let Some(child) = &self.process.0 else {
            return self.fail("it has no process");
        };
        let what = match tokio::time::timeout(patience, child.ended()).await {
            Ok(status) => format!("it ended ({status}) before it was ready"),
            Err(_) => "it closed its link before it was ready".to_owned(),
        };
        self.fail(what)
    }

    fn into_zygote(
        mut self,
        greeted: Greeted,
        preload_time: Duration,
    ) -> Result<Arc<Zygote>, Problem> {
        let Some(child) = self.process.0.take() else {
            return Err(failed(self.template, "it has no process", ""));
        };
        let Greeted { functions, ready } = greeted;
        let zygote = Arc::new(Zygote {
            child,
            link: self.link,
            ready_at: Instant::now(),
            preload_time,
            reports: reports(ready.preloads),
            kept: kept(ready.kept_descriptors),
            build_id: ready.build_id,
            functions: functions.into_iter().collect(),
            capture: self.capture,
            state: std::sync::Mutex::default(),
            gone: tokio::sync::watch::Sender::new(false),
            running: tokio::sync::watch::Sender::new(0),
        });
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
    };
    reports.into_iter().map(convert).collect()
}

fn kept(kept: Vec<wire::KeptDescriptor>) -> Vec<v1::KeptDescriptor> {
    let convert = |kept: wire::KeptDescriptor| v1::KeptDescriptor {
        number: kept.number,
        what: kept.what,
    };
    kept.into_iter().map(convert).collect()
}
