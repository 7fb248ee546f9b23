//! Reading the calling process's state, without changing it. This runs on every start.

use super::{Cwd, Source, StartState, whole_environment};
use mpfork_sys::{limits, own_process, signals};
use nix::sys::signal::Signal;

impl StartState {
    /// The state of the calling process, for functions: working directory, environment, umask,
    /// standard streams, limits, nice value, CPUs, and the calling thread's blocked signals.
    ///
    /// Directory and streams are those the process has when the request is sent.
    #[must_use]
    pub fn capture() -> Self {
        Self {
            cwd: Cwd::Path(".".into()),
            env: whole_environment(std::env::vars_os()),
            umask: own_process::umask(),
            descriptors: (0..3)
                .map(|own| (u32::from(own), Source::Own(own)))
                .collect(),
            rlimits: limits::RESOURCES
                .filter_map(|resource| limits::get(resource).ok())
                .collect(),
            // Fails only for a pid that does not exist.
            nice: rustix::process::getpriority_process(None).ok(),
            affinity: own_process::affinity(),
            blocked_signals: blocked_signals(),
            ignored_signals: Vec::new(),
            new_session: false,
            controlling_terminal: false,
            stdio: mpfork_proto::v1::Stdio::default(),
        }
    }

    /// As [`Self::capture`], for commands and `main`, which also inherit the signals that the process ignores;
    /// except SIGPIPE, which the Rust runtime ignores in every program.
    #[must_use]
    pub fn capture_for_command() -> Self {
        let mut state = Self::capture();
        state.ignored_signals = ignored_signals();
        state
    }
}

fn blocked_signals() -> Vec<u32> {
    // Fails for no thread.
    let blocked = signals::blocked().unwrap_or_default();
    blocked.into_iter().map(i32::unsigned_abs).collect()
}

fn ignored_signals() -> Vec<u32> {
    (1..=signals::HIGHEST)
        .filter(|signal| *signal != Signal::SIGPIPE as i32)
        .filter(|signal| signals::is_ignored(*signal))
        .map(i32::unsigned_abs)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_the_processs_own() {
        let state = StartState::capture();
        assert_eq!(state.rlimits.len(), limits::RESOURCES.len());
        assert!(!state.affinity.is_empty());
        assert!(state.nice.is_some());
        assert_eq!(state.env.len(), 1, "the whole environment at once");
        let opened = state.open().unwrap();
        assert!(opened.len() <= state.descriptor_count());
    }

    #[test]
    fn the_rust_runtimes_own_ignored_signal_is_not_inherited() {
        assert!(signals::is_ignored(Signal::SIGPIPE as i32));
        assert!(!ignored_signals().contains(&13));
    }
}
