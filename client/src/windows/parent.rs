//! The process that started this one.

use crate::current::current_process;
use crate::method::StartMethod;
use crate::sentinel;
use mpfork_proto::v1;
use mpfork_sys::process;
use std::os::windows::io::{AsHandle as _, BorrowedHandle, OwnedHandle};
use std::sync::Arc;
use std::time::Duration;

/// The process that started this worker. Mirrors what `multiprocessing.parent_process()` returns.
#[derive(Debug, Clone)]
pub struct ParentProcess {
    name: String,
    pid: i32,
    /// Absent where it has ended, or may not be waited for.
    handle: Option<Arc<OwnedHandle>>,
}

/// The process that started this worker; `None` in a process that mpfork did not start.
///
/// Mirrors `multiprocessing.parent_process()`.
#[must_use]
pub fn parent_process() -> Option<ParentProcess> {
    let parent = mpfork_zygote::current()?.parent.clone().unwrap_or_default();
    Some(ParentProcess {
        name: parent.name,
        pid: parent.pid,
        handle: process::open(parent.pid.cast_unsigned()).ok().map(Arc::new),
    })
}

impl ParentProcess {
    /// Its name: `MainProcess` where it is no worker itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.join(Some(Duration::ZERO))
    }

    /// Waits for its end, no longer than `timeout`; whether it has ended.
    #[must_use]
    pub fn join(&self, timeout: Option<Duration>) -> bool {
        self.sentinel()
            .is_none_or(|handle| sentinel::wait(handle, timeout))
    }

    /// A handle that is signalled when it ends; `None` when it has ended.
    #[must_use]
    pub fn sentinel(&self) -> Option<BorrowedHandle<'_>> {
        self.handle.as_ref().map(|handle| handle.as_handle())
    }
}

/// Whether this process is a worker that was started with the daemon flag.
pub(crate) fn is_daemonic() -> bool {
    let parent = mpfork_zygote::current().and_then(|current| current.parent.as_ref());
    parent.is_some_and(|parent| parent.daemon)
}

/// What a worker that this process starts is told of it.
pub(crate) fn own(daemon: bool, method: StartMethod) -> v1::Parent {
    v1::Parent {
        pid: std::process::id().cast_signed(),
        name: current_process().name,
        daemon,
        start_method: method.name().to_owned(),
        ..v1::Parent::default()
    }
}
