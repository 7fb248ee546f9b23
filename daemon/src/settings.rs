//! The configuration in force, where it came from, and how it was last read.

use crate::config::Config;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct Settings {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<Config>,
    read: SystemTime,
    error: Option<String>,
    pending: Vec<String>,
}

impl Settings {
    /// What was read at the start.
    pub(crate) fn new(path: Option<PathBuf>, config: Config) -> Self {
        Self {
            path,
            state: Mutex::new(State {
                config: Arc::new(config),
                read: SystemTime::now(),
                error: None,
                pending: Vec::new(),
            }),
        }
    }

    /// The file, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.state().config)
    }

    /// Another configuration is in force. `pending`: what it says and only a restart applies.
    pub(crate) fn replace(&self, config: Config, pending: Vec<String>) {
        *self.state() = State {
            config: Arc::new(config),
            read: SystemTime::now(),
            error: None,
            pending,
        };
    }

    /// The file could not be read again; what was read before holds.
    pub(crate) fn refused(&self, error: String) {
        self.state().error = Some(error);
    }

    /// Why the file could not be read again.
    pub(crate) fn error(&self) -> Option<String> {
        self.state().error.clone()
    }

    /// When the configuration in force was read.
    pub(crate) fn read(&self) -> SystemTime {
        self.state().read
    }

    /// What the file says and only a restart applies.
    pub(crate) fn pending(&self) -> Vec<String> {
        self.state().pending.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
