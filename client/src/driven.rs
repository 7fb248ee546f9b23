//! Whether a runtime drives what this crate waits for: descriptors and time. Without, tokio panics.

use mpfork_sys::reactor::Readable;
use std::os::fd::OwnedFd;
use std::panic::catch_unwind;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Id;

/// The runtime that was found last to drive them.
static DRIVEN: Mutex<Option<Id>> = Mutex::new(None);

/// Whether the caller's runtime, of this id, has I/O and time enabled. tokio tells by a panic only, which
/// whoever has set a panic hook sees.
pub(crate) fn drives(runtime: Id) -> bool {
    let known = || DRIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    if *known() == Some(runtime) {
        return true;
    }
    let drives = catch_unwind(|| {
        drop(tokio::time::sleep(Duration::ZERO));
        // Where there are no descriptors left, whoever needs one is told so.
        std::io::pipe().map(|(end, _)| drop(Readable::new(OwnedFd::from(end))))
    });
    let drives = drives.is_ok();
    if drives {
        *known() = Some(runtime);
    }
    drives
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::session::current_runtime;
    use tokio::runtime::Builder;

    #[test]
    fn a_runtime_without_io_or_time_is_refused() {
        for (io, time) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut builder = Builder::new_current_thread();
            if io {
                builder.enable_io();
            }
            if time {
                builder.enable_time();
            }
            let runtime = builder.build().unwrap();
            for _ in 0..2 {
                let current = runtime.block_on(async { current_runtime() });
                match current {
                    Ok(id) => assert!(io && time && id == runtime.handle().id()),
                    Err(Error::Unsupported { .. }) => assert!(!io || !time),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}
