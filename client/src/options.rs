//! The settings that processes and commands have in common.

use crate::api::{OnOwnerDeath, StartState, Task, WorkerRequest};
use crate::error::Error;
use crate::state::{PipeEnd, Stdio};
use crate::worker::{Place, Start};
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// A process that is being described.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) state: StartState,
    pub(crate) stdio: [Option<Stdio>; 3],
    pub(crate) name: Option<String>,
    pub(crate) daemon: bool,
    pub(crate) on_owner_death: OnOwnerDeath,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) grace: Option<Duration>,
    pub(crate) detached: bool,
}

/// The caller's ends of a worker's standard streams.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: Option<PipeReader>,
    pub(crate) stderr: Option<PipeReader>,
}

impl Pipes {
    fn numbers(&self) -> Vec<RawFd> {
        let input = self.stdin.iter().map(AsRawFd::as_raw_fd);
        let output = [&self.stdout, &self.stderr].into_iter().flatten();
        input.chain(output.map(AsRawFd::as_raw_fd)).collect()
    }
}

impl Options {
    pub(crate) fn new(state: StartState) -> Self {
        Self {
            state,
            stdio: [None, None, None],
            name: None,
            daemon: false,
            on_owner_death: OnOwnerDeath::End,
            time_limit: None,
            grace: None,
            detached: false,
        }
    }

    /// The start, and the caller's ends of its pipes.
    pub(crate) fn into_start(self, place: Place, task: Task) -> Result<(Start, Pipes), Error> {
        let mut state = self.state;
        let mut pipes = Pipes::default();
        for (number, stdio) in (0_u8..).zip(self.stdio) {
            let Some(stdio) = stdio else { continue };
            if stdio.is_kept() && number > 0 {
                state.keep_output(number);
                continue;
            }
            let (source, end) = stdio.resolve(number)?;
            state.stdio(number, source);
            match (end, number) {
                (None, _) => {}
                (Some(PipeEnd::Writer(writer)), _) => pipes.stdin = Some(writer),
                (Some(PipeEnd::Reader(reader)), 1) => pipes.stdout = Some(reader),
                (Some(PipeEnd::Reader(reader)), _) => pipes.stderr = Some(reader),
            }
        }
        let request = WorkerRequest {
            request_id: crate::random::id(),
            template: String::new(),
            task,
            state,
            name: self.name.unwrap_or_default(),
            on_owner_death: self.on_owner_death,
            time_limit: self.time_limit,
            grace: self.grace,
            parent: None,
        };
        let start = Start {
            place,
            request,
            detached: self.detached,
            callers: pipes.numbers(),
        };
        Ok((start, pipes))
    }
}

/// The methods that set them, for a builder with a field `options`.
macro_rules! option_methods {
    () => {
        /// Names it; shown in lists. Mirrors `name` of `multiprocessing.Process`. Up to 256 bytes.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.options.name = Some(name.into());
            self
        }

        /// Sets the daemon flag, which [`Process::daemon`](crate::Process::daemon) tells. When this
        /// program comes to its end, it asks its daemonic processes to end (SIGTERM), while it waits
        /// for others to end by themselves. A daemonic process may not start processes of its own, but
        /// for commands. A command is never waited for, daemonic or not. Mirrors `daemon` of
        /// `multiprocessing.Process`.
        ///
        /// When this program is killed all are ended, unless
        /// [`on_owner_death`](Self::on_owner_death) or [`detached`](Self::detached) say otherwise.
        pub fn daemon(mut self, daemon: bool) -> Self {
            self.options.daemon = daemon;
            self
        }

        /// Sets an environment variable. Python has no such option: its processes have the environment of
        /// who forks them.
        pub fn env(
            mut self,
            name: impl AsRef<std::ffi::OsStr>,
            value: impl AsRef<std::ffi::OsStr>,
        ) -> Self {
            self.options.state.env(name, value);
            self
        }

        /// Removes an environment variable; not in Python.
        pub fn env_remove(mut self, name: impl AsRef<std::ffi::OsStr>) -> Self {
            self.options.state.env_remove(name);
            self
        }

        /// Removes all environment variables, also those set before; not in Python.
        pub fn env_clear(mut self) -> Self {
            self.options.state.env_clear();
            self
        }

        /// Sets the working directory. Python has no such option.
        pub fn current_dir(mut self, path: impl AsRef<std::path::Path>) -> Self {
            self.options.state.current_dir(path);
            self
        }

        /// Sets the mask of file permissions. Python has no such option.
        pub fn umask(mut self, mask: u32) -> Self {
            self.options.state.umask(mask);
            self
        }

        /// Sets standard input. Python has no such option, but in `subprocess`.
        pub fn stdin(mut self, stdio: impl Into<$crate::Stdio>) -> Self {
            self.options.stdio[0] = Some(stdio.into());
            self
        }

        /// Sets standard output. Python has no such option, but in `subprocess`.
        pub fn stdout(mut self, stdio: impl Into<$crate::Stdio>) -> Self {
            self.options.stdio[1] = Some(stdio.into());
            self
        }

        /// Sets standard error. Python has no such option, but in `subprocess`.
        pub fn stderr(mut self, stdio: impl Into<$crate::Stdio>) -> Self {
            self.options.stdio[2] = Some(stdio.into());
            self
        }

        /// Gives it a descriptor under this number. Python has no such option; nearest is `pass_fds` of
        /// `subprocess`.
        pub fn pass_fd(mut self, descriptor: impl Into<std::os::fd::OwnedFd>, target: u32) -> Self {
            self.options.state.pass_fd(descriptor, target);
            self
        }

        /// Sets a resource limit by the system's number of it (`RLIMIT_NOFILE` and so on), in its unit;
        /// `u64::MAX` is unlimited. Python has no such option.
        pub fn rlimit(mut self, resource: u32, soft: u64, hard: u64) -> Self {
            self.options.state.rlimit(resource, soft, hard);
            self
        }

        /// Sets the nice value. Python has no such option.
        pub fn nice(mut self, nice: i32) -> Self {
            self.options.state.nice(nice);
            self
        }

        /// Sets the CPUs it may run on. Python has no such option.
        pub fn affinity(mut self, cpus: impl IntoIterator<Item = u32>) -> Self {
            self.options.state.affinity(cpus);
            self
        }

        /// Limits its wall-clock time: at the end TERM, after [`grace`](Self::grace) KILL. Its exit
        /// then says that it timed out. By start method `fork` nobody could watch the time: starting it
        /// is [`Error::Unsupported`](crate::Error::Unsupported) then. Python has no such option.
        pub fn time_limit(mut self, limit: std::time::Duration) -> Self {
            self.options.time_limit = Some(limit);
            self
        }

        /// Sets the time between TERM and KILL, when it is ended because its time is over or its owner
        /// has died. By start method `fork` it is killed at once. Python has no such option.
        pub fn grace(mut self, grace: std::time::Duration) -> Self {
            self.options.grace = Some(grace);
            self
        }

        /// What happens to it when this program ends before it: it is ended, unless this says that
        /// it is kept. Python has no such option: what is not daemonic goes on.
        pub fn on_owner_death(mut self, what: $crate::OnOwnerDeath) -> Self {
            self.options.on_owner_death = what;
            self
        }

        /// Starts it without an owner: it lives on when this program ends, and this program does not
        /// wait for it. Where mpforkd made it, any client may. Python has no such option.
        pub fn detached(mut self) -> Self {
            self.options.detached = true;
            self
        }
    };
}
pub(crate) use option_methods;
