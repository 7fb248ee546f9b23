//! The state a worker starts with, and how it is taken over from the calling process.

mod capture;
mod stdio;

use crate::error::Error;
use crate::standard::FIRST_FREE;
use mpfork_proto::environment;
use mpfork_proto::v1;
use mpfork_sys::limits::Rlimit;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use stdio::PipeEnd;
pub use stdio::Stdio;

/// The state a worker starts with.
///
/// [`StartState::capture`] takes over the calling process's, as if the worker had been executed by
/// it; the methods then change parts of it. An empty one, [`StartState::default`], leaves everything
/// as the zygote has it, with the null device for standard streams.
#[derive(Debug, Clone, Default)]
pub struct StartState {
    cwd: Cwd,
    env: Vec<v1::EnvDirective>,
    umask: Option<u32>,
    descriptors: Vec<(u32, Source)>,
    rlimits: Vec<Rlimit>,
    nice: Option<i32>,
    affinity: Vec<u32>,
    blocked_signals: Vec<u32>,
    ignored_signals: Vec<u32>,
    new_session: bool,
    controlling_terminal: bool,
    stdio: v1::Stdio,
}

/// The working directory. It is opened when the request is sent.
#[derive(Debug, Clone, Default)]
enum Cwd {
    /// The zygote's.
    #[default]
    Kept,
    /// Of the calling process, or relative to its.
    Path(PathBuf),
}

/// Where a descriptor comes from. It is opened when the request is sent.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A standard stream of the calling process.
    Own(u8),
    /// The calling process's standard input, which the worker may take all of.
    ReadAhead,
    /// What the caller gave.
    Given(Arc<OwnedFd>),
}

impl Source {
    /// `None` for a standard stream that is closed.
    fn open(&self) -> Result<Option<OwnedFd>, Error> {
        let copied = match self {
            Self::Own(0) | Self::ReadAhead => dup(std::io::stdin()),
            Self::Own(1) => dup(std::io::stdout()),
            Self::Own(_) => dup(std::io::stderr()),
            Self::Given(descriptor) => dup(descriptor),
        };
        match copied {
            Ok(copy) => Ok(Some(copy)),
            Err(Errno::BADF) => Ok(None),
            Err(error) => Err(Error::system("copying a descriptor for the worker", error)),
        }
    }
}

fn dup(descriptor: impl AsFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, FIRST_FREE)
}

const NO_DESCRIPTORS: &str = "descriptors do not pass on this connection to mpforkd";

/// What an opened descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Cwd,
    Placed(u32),
    Channel,
}

impl StartState {
    /// Sets a variable.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        let set = v1::env_directive::Set {
            name: name.as_ref().as_bytes().to_vec(),
            value: value.as_ref().as_bytes().to_vec(),
        };
        self.env_step(v1::env_directive::Step::Set(set))
    }

    /// Removes a variable.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        let name = name.as_ref().as_bytes().to_vec();
        self.env_step(v1::env_directive::Step::Remove(name))
    }

    /// Removes all variables, the preloads' declared ones included.
    pub fn env_clear(&mut self) -> &mut Self {
        self.env.clear();
        self.env_step(v1::env_directive::Step::Clear(v1::env_directive::Clear {}))
    }

    fn env_step(&mut self, step: v1::env_directive::Step) -> &mut Self {
        self.env.push(v1::EnvDirective { step: Some(step) });
        self
    }

    /// Sets the working directory; a relative one is relative to the calling process's.
    pub fn current_dir(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.cwd = Cwd::Path(path.as_ref().to_owned());
        self
    }

    /// Sets the mask of file permissions.
    pub fn umask(&mut self, mask: u32) -> &mut Self {
        self.umask = Some(mask & 0o777);
        self
    }

    /// Sets standard input (0), output (1) or error (2).
    pub(crate) fn stdio(&mut self, number: u8, source: Option<Source>) -> &mut Self {
        self.no_fd(number.into());
        self.stream(number, v1::Stream::Unspecified);
        if let Some(source) = source {
            self.descriptors.push((u32::from(number), source));
        }
        self
    }

    /// Has mpforkd keep the newest of what the worker writes to its standard output (1) or error (2),
    /// for [`Client::read_logs`](crate::api::Client::read_logs).
    pub fn keep_output(&mut self, number: u8) -> &mut Self {
        self.no_fd(number.into());
        self.stream(number, v1::Stream::Kept)
    }

    /// Whether mpforkd is to keep what the worker writes.
    pub(crate) fn keeps_output(&self) -> bool {
        [self.stdio.stdout(), self.stdio.stderr()].contains(&v1::Stream::Kept)
    }

    /// What a standard stream is for which no descriptor is given.
    fn stream(&mut self, number: u8, what: v1::Stream) -> &mut Self {
        let stdio = &mut self.stdio;
        match number {
            0 => stdio.set_stdin(what),
            1 => stdio.set_stdout(what),
            _ => stdio.set_stderr(what),
        }
        self
    }

    /// Gives the worker a descriptor under this number.
    pub fn pass_fd(&mut self, descriptor: impl Into<OwnedFd>, target: u32) -> &mut Self {
        let source = Source::Given(Arc::new(descriptor.into()));
        self.no_fd(target);
        self.descriptors.push((target, source));
        self
    }

    /// Gives the worker nothing under this number; a standard stream is then the null device.
    pub fn no_fd(&mut self, target: u32) -> &mut Self {
        self.descriptors.retain(|(number, _)| *number != target);
        self
    }

    /// Sets a resource limit by its number; `u64::MAX` is unlimited.
    pub fn rlimit(&mut self, resource: u32, soft: u64, hard: u64) -> &mut Self {
        self.rlimits.retain(|limit| limit.resource != resource);
        self.rlimits.push(Rlimit {
            resource,
            soft,
            hard,
        });
        self
    }

    /// Sets the nice value, -20 to 19.
    pub fn nice(&mut self, nice: i32) -> &mut Self {
        self.nice = Some(nice);
        self
    }

    /// Sets the CPUs the worker may run on, by number.
    pub fn affinity(&mut self, cpus: impl IntoIterator<Item = u32>) -> &mut Self {
        self.affinity = cpus.into_iter().collect();
        self
    }

    /// Starts the worker in a session of its own instead of a process group of its own.
    pub fn new_session(&mut self) -> &mut Self {
        self.new_session = true;
        self
    }

    /// Starts the worker in a session of its own whose controlling terminal is its standard input.
    pub fn controlling_terminal(&mut self) -> &mut Self {
        self.controlling_terminal = true;
        self.new_session()
    }

    /// The most descriptors that [`Self::open`] gives.
    pub(crate) fn descriptor_count(&self) -> usize {
        self.descriptors.len() + usize::from(matches!(self.cwd, Cwd::Path(_)))
    }

    /// Opens what travels as a descriptor.
    pub(crate) fn open(&self) -> Result<Vec<(Purpose, OwnedFd)>, Error> {
        let mut opened = Vec::with_capacity(self.descriptor_count() + 1);
        if let Cwd::Path(path) = &self.cwd {
            let directory = mpfork_sys::descriptors::directory(path).map_err(|error| {
                Error::system(format!("opening the directory {}", path.display()), error)
            })?;
            opened.push((Purpose::Cwd, directory));
        }
        for (target, source) in &self.descriptors {
            if let Some(descriptor) = source.open()? {
                opened.push((Purpose::Placed(*target), descriptor));
            }
        }
        Ok(opened)
    }

    /// The calling process's own streams, its input read ahead of the worker where descriptors do not
    /// pass.
    pub fn own_streams(&mut self) -> &mut Self {
        self.stdio(0, Some(Source::ReadAhead));
        for number in 1..=2 {
            self.stdio(number, Some(Source::Own(number)));
        }
        self
    }

    /// The ends in this process of a worker's streams, where descriptors do not pass: what its input
    /// is read from and its output written to. Input that is only inherited is none: what is read ahead
    /// of the worker would be lost to this process.
    pub(crate) fn local_ends(&self) -> Result<[Option<OwnedFd>; 3], Error> {
        let mut ends = [None, None, None];
        for (target, source) in &self.descriptors {
            let end = ends.get_mut(*target as usize);
            match (end, source) {
                (None, _) => {
                    return Err(Error::Unsupported {
                        what: format!("giving a worker descriptor {target}"),
                        why: NO_DESCRIPTORS,
                    });
                }
                (Some(_), Source::Own(0)) => {}
                (Some(end), source) => *end = source.open()?,
            }
        }
        Ok(ends)
    }

    /// The message where descriptors do not pass.
    pub(crate) fn without_descriptors(&self) -> Result<v1::StartState, Error> {
        if self.controlling_terminal {
            return Err(Error::Unsupported {
                what: "giving a worker a terminal".to_owned(),
                why: NO_DESCRIPTORS,
            });
        }
        let mut state = self.to_proto();
        if let Cwd::Path(path) = &self.cwd {
            let path = std::path::absolute(path)
                .map_err(|error| Error::system("finding the working directory", error))?;
            state.cwd_path = Some(path.into_os_string().into_vec());
        }
        let attached = |number: u32| {
            let source = self
                .descriptors
                .iter()
                .find(|(target, _)| *target == number);
            source.is_some_and(|(_, source)| !matches!(source, Source::Own(0)))
        };
        let stdio = state.stdio.get_or_insert_default();
        let streams = [&mut stdio.stdin, &mut stdio.stdout, &mut stdio.stderr];
        for (number, stream) in (0..).zip(streams) {
            if *stream == i32::from(v1::Stream::Unspecified) {
                *stream = match attached(number) {
                    true => v1::Stream::Attached.into(),
                    false => v1::Stream::Null.into(),
                };
            }
        }
        Ok(state)
    }

    /// The message, without descriptors.
    pub(crate) fn to_proto(&self) -> v1::StartState {
        let rlimits = self.rlimits.iter().map(|limit| v1::Rlimit {
            resource: limit.resource,
            soft: limit.soft,
            hard: limit.hard,
        });
        v1::StartState {
            env: self.env.clone(),
            umask: self.umask,
            rlimits: rlimits.collect(),
            nice: self.nice,
            affinity: self.affinity.clone(),
            blocked_signals: self.blocked_signals.clone(),
            ignored_signals: self.ignored_signals.clone(),
            new_session: self.new_session,
            controlling_terminal: self.controlling_terminal,
            stdio: (self.stdio != v1::Stdio::default()).then_some(self.stdio),
            ..v1::StartState::default()
        }
    }
}

/// An environment as the one directive that produces exactly it.
fn whole_environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<v1::EnvDirective> {
    let mut block = Vec::new();
    for (name, value) in variables {
        // The standard library lets a name begin with an equals sign; nobody could read it back.
        if !name.as_bytes().contains(&b'=') {
            environment::push(&mut block, name.as_bytes(), value.as_bytes());
        }
    }
    vec![v1::EnvDirective {
        step: Some(v1::env_directive::Step::Replace(block)),
    }]
}
