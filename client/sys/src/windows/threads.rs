//! Threads. The system starts some of its own in every process; nothing here is forked, so nobody counts.

/// The standard library names the first thread so.
pub(crate) fn is_main() -> bool {
    std::thread::current().name() == Some("main")
}
