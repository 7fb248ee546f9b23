//! Launching an embedded server: executed, greeted, preloaded.

use super::Kind;
use super::link::Link;
use super::server::{Executed, Own, too_many_in_flight};
use crate::children;
use crate::error::Error;
use crate::freeze;
use crate::settings::{self, OnPreloadError, Preloads};
use mpfork_driver::duration::to_wire;
use mpfork_driver::exit::ChildStatus;
use mpfork_driver::failed;
use mpfork_proto::exit::Ended;
use mpfork_proto::link::zygote_frame::Frame;
use mpfork_proto::link::{
    self as wire, COMPACTION_LIMIT, LINK_ENV, Ready, WORKER_ENV, Welcome, supervisor_frame,
};
use mpfork_proto::v1;
use mpfork_sys::fdpass::is_congested;
use mpfork_sys::spawn::{Launch, spawn};
use mpfork_sys::{arguments, sentinel, sockets, wait};
use rustix::process::Signal;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a program may take to answer: what mpforkd's configuration has by default.
pub(super) const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// How long a preload may take that declares no limit: as above.
const PRELOAD_LIMIT: Duration = Duration::from_secs(300);
/// No preload takes longer: what a program declares must not be beyond what a clock can hold.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The door of the server that this process, or the one it was forked from, launched last.
static DOOR: Mutex<Option<(u32, Arc<OwnedFd>)>> = Mutex::new(None);

/// The door of a server that another process launched: this worker's zygote, or the server of the
/// process this one was forked from.
pub(super) fn inherited_door() -> Option<Arc<OwnedFd>> {
    let launched = DOOR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match launched {
        Some((owner, door)) if owner != std::process::id() => Some(door),
        _ => mpfork_zygote::door(),
    }
}

/// What people call this program.
pub(crate) fn program_name() -> String {
    let own = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&own).file_name().unwrap_or(&own);
    name.to_string_lossy().into_owned()
}

/// What people call the program that is executed for this one's processes.
pub(super) fn executed_name() -> String {
    let path = settings::executable_path();
    match path.as_ref().and_then(|path| path.file_name()) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => program_name(),
    }
}

/// A zygote that is not ready yet; killed and waited for when dropped.
struct Candidate {
    pid: i32,
    pidfd: Option<OwnedFd>,
    name: String,
    link: Arc<Link>,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.pidfd {
            let _ = sentinel::signal(self.pid, pidfd.as_fd(), Signal::KILL.as_raw());
            crate::sentinel::wait(pidfd.as_fd(), None);
            let _ = wait::reap_named(self.pid, pidfd.as_fd());
        }
    }
}

/// Launches a server and waits until it is ready to make workers.
pub(super) async fn launch(kind: &Kind) -> Result<Arc<Own>, Error> {
    let name = executed_name();
    children::watch_end();
    let (mut candidate, inside, outside) = execute(name, kind.compact)?;
    let welcome = candidate.greet(inside, outside.as_fd()).await?;
    let ready = candidate.preload(kind).await?;
    let outside = Arc::new(outside);
    let owner = std::process::id();
    *DOOR.lock().unwrap_or_else(PoisonError::into_inner) = Some((owner, Arc::clone(&outside)));
    candidate.into_server(welcome, ready)
}

fn execute(name: String, huge_pages: bool) -> Result<(Candidate, OwnedFd, OwnedFd), Error> {
    let system = |error: io::Error| Error::system("launching the embedded server", error);
    let program = settings::executable()?;
    program.expect_unprivileged()?;
    let room = match program.takes_room()? {
        true => arguments::ROOM,
        false => 0,
    };
    let (ours, theirs) = UnixStream::pair().map_err(system)?;
    let link = Link::new(ours).map_err(system)?;
    let (inside, outside) = sockets::datagram_pair().map_err(system)?;
    for end in [&inside, &outside] {
        rustix::io::ioctl_fionbio(end, true).map_err(|error| system(error.into()))?;
    }
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(system)?;
    // What it prints belongs where this program's errors go, if they go anywhere.
    let own_errors = io::stderr().as_fd().try_clone_to_owned();
    let output = match &own_errors {
        Ok(errors) => errors.as_fd(),
        Err(_) => null.as_fd(),
    };
    let env = environment().map_err(system)?;
    let own_name = std::env::args_os().next().unwrap_or_default();
    let argv = std::iter::once(own_name).chain(freeze::template_args());
    let argv: Vec<CString> = argv
        .map(|arg| CString::new(arg.into_vec()).map_err(io::Error::from))
        .collect::<Result<_, _>>()
        .map_err(system)?;
    let launch = |room| {
        spawn(&Launch {
            program: program.file(),
            argv: &argv,
            room,
            env: &env,
            input: null.as_fd(),
            output,
            link: theirs.as_fd(),
            variable: LINK_ENV,
            door: None,
            session: true,
            huge_pages,
        })
    };
    let pid = launch(room)
        .or_else(|error| match rustix::io::Errno::from_io_error(&error) {
            // No room for the arguments of workers that go on with main: args_os has them.
            Some(rustix::io::Errno::TOOBIG) => launch(0),
            _ => Err(error),
        })
        .map_err(|error| failed::execution(&name, program.path(), &error))?;
    let mut candidate = Candidate {
        pid,
        pidfd: None,
        name,
        link: Arc::new(link),
    };
    match sentinel::open(pid) {
        Ok(pidfd) => candidate.pidfd = Some(pidfd),
        Err(error) => {
            // Without its link it ends by itself.
            drop(candidate);
            return Err(system(error));
        }
    }
    Ok((candidate, inside, outside))
}

/// This process's environment, but for what was meant for another one.
fn environment() -> io::Result<Vec<CString>> {
    let entry = |(name, value): (OsString, OsString)| {
        let mut entry = name.into_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        CString::new(entry).map_err(io::Error::from)
    };
    std::env::vars_os()
        .filter(|(name, _)| name != LINK_ENV && name != WORKER_ENV)
        .map(entry)
        .collect()
}

impl Candidate {
    async fn greet(&mut self, inside: OwnedFd, outside: BorrowedFd<'_>) -> Result<Welcome, Error> {
        let (version_min, version_max) = wire::VERSIONS;
        let hello = wire::Hello {
            version_min,
            version_max,
            end_groups: false,
            embedded: true,
        };
        let own = sentinel::open(std::process::id().cast_signed())
            .map_err(|error| Error::system("opening this process's pidfd", error))?;
        let own = sentinel::to_pass(own);
        let mut descriptors = vec![inside.as_fd(), outside];
        descriptors.extend(own.as_ref().map(|own| own.as_fd()));
        self.send(supervisor_frame::Frame::Hello(hello), &descriptors)
            .await?;
        let welcome = match tokio::time::timeout(HELLO_LIMIT, self.receive()).await {
            Ok(frame) => match frame? {
                Frame::Welcome(welcome) => welcome,
                // It has threads already.
                Frame::PreloadFailed(failed) => return Err(self.preload_failed(failed)),
                _ => return Err(self.fail("it broke the protocol: no Welcome")),
            },
            Err(_) => return Err(self.fail(failed::no_welcome(HELLO_LIMIT))),
        };
        if !(version_min..=version_max).contains(&welcome.version) {
            let (program, own) = (welcome.program, crate::server::OWN_VERSION);
            return Err(failed::version(&self.name, program, "this program", own).into());
        }
        Ok(welcome)
    }

    /// From Preload to Ready, each preload within its limit.
    async fn preload(&mut self, kind: &Kind) -> Result<Ready, Error> {
        let preloads = &kind.preloads;
        let request = wire::Preload {
            names: preloads.names.clone().unwrap_or_default(),
            all: preloads.names.is_none(),
            on_error: v1::OnPreloadError::from(preloads.on_error).into(),
            compact: kind.compact.then(|| wire::Compact {
                time_limit: Some(to_wire(COMPACTION_LIMIT)),
                collapse: true,
            }),
        };
        self.send(supervisor_frame::Frame::Preload(request), &[])
            .await?;
        let mut current = String::new();
        let mut limit = PRELOAD_LIMIT;
        let mut deadline = Instant::now() + limit;
        let mut loaded = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(frame) = tokio::time::timeout(left, self.receive()).await else {
                return Err(match loaded {
                    false => failed::preload_timed_out(&self.name, &current, limit, "").into(),
                    true => self.fail(failed::not_ready(limit)),
                });
            };
            match frame? {
                Frame::Progress(progress) if progress.loaded => {
                    loaded = true;
                    limit = PRELOAD_LIMIT + COMPACTION_LIMIT;
                    deadline = Instant::now() + limit;
                }
                Frame::Progress(progress) => {
                    if progress.preload != current {
                        current = progress.preload;
                        limit = progress
                            .time_limit
                            .and_then(|limit| Duration::try_from(limit).ok())
                            .unwrap_or(PRELOAD_LIMIT)
                            .min(LONGEST);
                        deadline = Instant::now() + limit;
                    }
                }
                Frame::Ready(ready) => {
                    self.warn(preloads, &ready);
                    return Ok(ready);
                }
                Frame::PreloadFailed(failed) => return Err(self.preload_failed(failed)),
                _ => return Err(self.fail("it broke the protocol while preloading")),
            }
        }
    }

    /// Of what the zygote serves without; it has said so itself, too.
    fn warn(&self, preloads: &Preloads, ready: &Ready) {
        if preloads.on_error != OnPreloadError::Warn {
            return;
        }
        for report in ready
            .preloads
            .iter()
            .filter(|report| !report.error.is_empty())
        {
            let (preload, error) = (&report.name, &report.error);
            tracing::warn!(preload, error, "a preload failed: served without it");
        }
    }

    fn preload_failed(&self, failed: wire::PreloadFailed) -> Error {
        failed::preload(&self.name, failed, "").into()
    }

    fn fail(&self, what: impl std::fmt::Display) -> Error {
        failed::zygote(&self.name, what, "").into()
    }

    async fn send(
        &self,
        frame: supervisor_frame::Frame,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Error> {
        match self.link.send(frame, descriptors).await {
            Ok(()) => Ok(()),
            Err(error) if is_congested(&error) => Err(too_many_in_flight(&error)),
            Err(_) => Err(self.ended()),
        }
    }

    async fn receive(&self) -> Result<Frame, Error> {
        match receive(&self.link).await? {
            Some(frame) => Ok(frame),
            None => Err(self.ended()),
        }
    }

    /// The link has ended: with the process, most often, whose status then says more.
    fn ended(&self) -> Error {
        let patience = Duration::from_secs(1);
        let reaped = self.pidfd.as_ref().and_then(|pidfd| {
            crate::sentinel::wait(pidfd.as_fd(), Some(patience));
            wait::reap_named(self.pid, pidfd.as_fd()).ok().flatten()
        });
        match reaped {
            Some(reaped) => {
                let status = ChildStatus(Ended::from_raw(reaped.status));
                self.fail(failed::ended_early(&status))
            }
            None => self.fail(failed::LINK_CLOSED),
        }
    }

    fn into_server(mut self, welcome: Welcome, ready: Ready) -> Result<Arc<Own>, Error> {
        let Some(pidfd) = self.pidfd.take() else {
            return Err(self.fail("it has no process"));
        };
        let executed = Executed {
            pid: self.pid,
            pidfd,
        };
        let name = std::mem::take(&mut self.name);
        let link = Arc::clone(&self.link);
        let compaction = ready.compaction.clone();
        let own = Own::new(name, Some(executed), link, welcome, ready);
        own.compacted(&compaction.unwrap_or_default());
        Ok(Arc::new(own))
    }
}

/// The next frame; `None` at the end.
async fn receive(link: &Link) -> Result<Option<Frame>, Error> {
    link.next()
        .await
        .map_err(|error| Error::system("talking to the embedded server", error))
}

/// What a zygote tells of itself on a new link; `None` when it is gone, or lets nobody in.
pub(super) async fn hear(link: &Link) -> Result<Option<(Welcome, Ready)>, Error> {
    let heard = async {
        let Some(Frame::Welcome(welcome)) = receive(link).await? else {
            return Ok(None);
        };
        let Some(Frame::Ready(ready)) = receive(link).await? else {
            return Ok(None);
        };
        Ok(Some((welcome, ready)))
    };
    match tokio::time::timeout(HELLO_LIMIT, heard).await {
        Ok(heard) => heard,
        Err(_) => Err(silent()),
    }
}

/// It does not answer who asks for a link.
pub(super) fn silent() -> Error {
    let limit = humantime::format_duration(HELLO_LIMIT);
    let what = format!("it did not answer within {limit}: is it stopped, or in a hook?");
    failed::zygote(&executed_name(), what, "").into()
}
