//! Loading the preloads the supervisor names.

use super::Fatal;
use super::handshake::receive;
use super::link::Link;
use super::snapshot::{self, Snapshot};
use crate::compact::{self, Keeper};
use crate::fault::Fault;
use crate::panics;
use crate::registry::load::{Listener, Progress};
use crate::registry::order::{self, Declared as _, OrderError};
use crate::registry::preload::{self, Declaration, PreloadItem};
use crate::registry::{self, Hook, Loaded, hook};
use crate::wire::Inbox;
use crate::worker::flush;
use mpfork_proto::link::{
    self, PreloadFailed, PreloadReport, Ready, supervisor_frame, zygote_frame,
};
use mpfork_proto::v1::OnPreloadError;
use mpfork_sys::threads::{self, ManyThreads};
use std::cell::Cell;
use std::io::Write as _;
use std::os::fd::{AsFd as _, RawFd};
use std::time::{Duration, Instant};

/// Progress is told at most this often.
const BETWEEN_REPORTS: Duration = Duration::from_millis(20);

/// What preloading has made of the zygote.
pub(super) struct Preloaded {
    /// The numbers of the descriptors the preloads opened.
    pub(super) kept: Vec<RawFd>,
    /// What was reported.
    pub(super) ready: Ready,
    /// What keeps its memory compact.
    pub(super) keeper: Option<Keeper>,
}

/// Loads what the supervisor asks for and reports. `None` when the supervisor has no more use for the
/// zygote.
pub(super) fn preload(link: &Link, inbox: &mut Inbox) -> Result<Option<Preloaded>, Fatal> {
    let request = match receive(link, inbox)? {
        Some(supervisor_frame::Frame::Preload(request)) => request,
        Some(supervisor_frame::Frame::Shutdown(_)) | None => return Ok(None),
        Some(_) => return Err(Fatal::OutOfTurn("something else than a list of preloads")),
    };
    let chosen = match choose(&request) {
        Ok(chosen) => chosen,
        Err(error) => {
            return Err(fail(
                link,
                PreloadFailed {
                    message: error.to_string(),
                    bad_request: true,
                    ..PreloadFailed::default()
                },
            ));
        }
    };
    let before = Snapshot::take(!chosen.is_empty());
    let on_error = request.on_error();
    let compact = request.compact;
    let loads = request.all || !chosen.is_empty();
    registry::set_loaded(Loaded {
        names: request.names,
        all: request.all,
        on_error,
    });
    let preloads = load_all(link, &chosen, on_error)?;
    let hooks: &[_] = match loads {
        true => {
            &hook::all()
                .map_err(|error| Fatal::Preload(error.to_string()))?
                .after_preload
        }
        false => &[],
    };
    if !hooks.is_empty() || compact::is_worth_while(compact.as_ref()) {
        // From here on other limits hold than a preload's.
        let loaded = link::Progress {
            loaded: true,
            ..link::Progress::default()
        };
        link.send(zygote_frame::Frame::Progress(loaded), None)?;
    }
    run_hooks(link, hooks)?;
    let after = Snapshot::take(!chosen.is_empty());
    flush();
    let kept = after.opened_since(&before);
    let kept_descriptors = snapshot::describe(&kept);
    let loaded_files = after.mapped_since(&before);
    // What is freed later lies between what was loaded, and would be handed out from there.
    drop((before, after, chosen));
    let hooks = hook::all().map_err(|error| Fatal::Preload(error.to_string()))?;
    let inherited = crate::worker::inherited(hooks);
    let (compaction, keeper) = compact::compact(compact.as_ref());
    let ready = Ready {
        preloads,
        kept_descriptors,
        loaded_files,
        build_id: build_id(),
        rss_bytes: mpfork_sys::own_process::resident_bytes(),
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        compaction: Some(compaction),
        inherited,
    };
    link.send(zygote_frame::Frame::Ready(ready.clone()), None)?;
    // From here on the link tells of the supervisor's end, and the workers need their zygote.
    let _ = mpfork_sys::own_process::end_with_parent(false);
    Ok(Some(Preloaded {
        kept,
        ready,
        keeper,
    }))
}

/// Runs those that come after all preloads.
fn run_hooks(link: &Link, hooks: &[&'static Hook]) -> Result<(), Fatal> {
    for hook in hooks {
        let name = hook.name();
        let refused = move |fault: &Fault| PreloadFailed {
            hook: name.to_owned(),
            message: fault.to_string(),
            trace: fault.trace(),
            ..PreloadFailed::default()
        };
        tell_of_aborts(link, refused);
        if let Err(error) = hook::run(hook) {
            return Err(fail(link, refused(error.fault())));
        }
        if let Err(many) = threads::expect_single() {
            let failed = PreloadFailed {
                hook: name.to_owned(),
                ..left_threads(many)
            };
            return Err(fail(link, failed));
        }
    }
    panics::tell_nobody();
    Ok(())
}

fn left_threads(many: ManyThreads) -> PreloadFailed {
    PreloadFailed {
        message: format!(
            "it left threads running, and a process with threads can't be forked: {}",
            many.names.join(", ")
        ),
        threads: many.names,
        ..PreloadFailed::default()
    }
}

fn build_id() -> String {
    let id = mpfork_sys::image::build_id().unwrap_or_default();
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn choose(request: &link::Preload) -> Result<Vec<&'static PreloadItem>, OrderError> {
    // Hooks that contradict each other would refuse every fork: better told now.
    hook::all()?;
    let sorted = preload::sorted()?;
    if request.all {
        return Ok(sorted);
    }
    let names: Vec<&str> = request.names.iter().map(String::as_str).collect();
    order::select(&sorted, &names)
}

fn load_all(
    link: &Link,
    chosen: &[&'static PreloadItem],
    on_error: OnPreloadError,
) -> Result<Vec<PreloadReport>, Fatal> {
    let total = u32::try_from(chosen.len()).unwrap_or(u32::MAX);
    let mut reports = Vec::with_capacity(chosen.len());
    for (index, item) in (0..).zip(chosen) {
        let begun = Instant::now();
        let first = link::Progress {
            preload: item.name().to_owned(),
            index,
            total,
            time_limit: limit(item.preload.declaration()),
            ..link::Progress::default()
        };
        link.send(zygote_frame::Frame::Progress(first.clone()), None)?;
        let name = item.name();
        tell_of_aborts(link, move |fault| failed(name, fault));
        let mut error = String::new();
        if let Err(failure) = item.preload.load(&Progress::to(listener(link, first))) {
            match on_error {
                OnPreloadError::Fail | OnPreloadError::Unspecified => {
                    return Err(fail(link, failed(item.name(), failure.fault())));
                }
                OnPreloadError::Warn => {
                    // In one piece; nobody may be reading.
                    let warning = format!("mpfork: warning: {failure}\n");
                    let _ = std::io::stderr().write_all(warning.as_bytes());
                }
                OnPreloadError::Ignore => {}
            }
            error = crate::fault::cut(&failure.to_string(), 1024);
        }
        if let Err(many) = threads::expect_single() {
            return Err(fail(
                link,
                PreloadFailed {
                    preload: item.name().to_owned(),
                    ..left_threads(many)
                },
            ));
        }
        reports.push(PreloadReport {
            name: item.name().to_owned(),
            time: begun.elapsed().try_into().ok(),
            error,
        });
    }
    panics::tell_nobody();
    Ok(reports)
}

/// Passes on what a preload tells of its progress, but not more often than anybody looks.
fn listener(link: &Link, first: link::Progress) -> Listener {
    let link = link.clone();
    let last: Cell<Option<Instant>> = Cell::new(None);
    Box::new(move |fraction, message| {
        if last.get().is_some_and(|at| at.elapsed() < BETWEEN_REPORTS) {
            return;
        }
        last.set(Some(Instant::now()));
        let frame = link::Progress {
            fraction,
            message: crate::fault::cut(message, 1024),
            ..first.clone()
        };
        // A supervisor that has gone is noticed without this.
        let _ = link.send(zygote_frame::Frame::Progress(frame), None);
    })
}

/// Under `panic = "abort"` the panic hook is the last of our code to run.
fn tell_of_aborts(link: &Link, failed: impl Fn(&Fault) -> PreloadFailed + Send + 'static) {
    if cfg!(panic = "abort")
        && let Ok(socket) = link.socket().try_clone_to_owned()
    {
        panics::tell(move |panic| {
            let fault = Fault::of_panic(panic.clone());
            super::send_failed(socket.as_fd(), failed(&fault));
        });
    }
}

fn failed(preload: &str, fault: &Fault) -> PreloadFailed {
    PreloadFailed {
        preload: preload.to_owned(),
        message: fault.to_string(),
        trace: fault.trace(),
        ..PreloadFailed::default()
    }
}

fn fail(link: &Link, failed: PreloadFailed) -> Fatal {
    let text = match (failed.preload.as_str(), failed.hook.as_str()) {
        ("", "") => failed.message.clone(),
        ("", hook) => format!("hook `{hook}`: {}", failed.message),
        (preload, _) => format!("`{preload}`: {}", failed.message),
    };
    match link.send(zygote_frame::Frame::PreloadFailed(failed), None) {
        Ok(()) => Fatal::Preload(text),
        Err(error) => error.into(),
    }
}

pub(super) fn limit(declaration: &Declaration) -> Option<prost_types::Duration> {
    declaration.declared_limit()?.try_into().ok()
}
