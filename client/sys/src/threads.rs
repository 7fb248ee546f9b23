//! How many threads this process has.

use crate::platform::threads as platform;

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod others;

        pub(crate) use others::expect_sleeping_main;
        pub use others::{expect_single, is_single, own_number, wait_until_gone};
    }
}

/// The process has more than one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyThreads {
    /// The names of the threads besides the calling one.
    pub names: Vec<String>,
}

impl std::fmt::Display for ManyThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the process has other threads: {}",
            self.names.join(", ")
        )
    }
}

impl std::error::Error for ManyThreads {}

/// True when the calling thread is the process's first.
#[must_use]
pub fn is_main() -> bool {
    platform::is_main()
}
