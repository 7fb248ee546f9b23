//! This process, as every Prometheus client tells it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of memory that are resident.
pub(super) fn resident() -> Option<u64> {
    Some(mpfork_sys::own_process::resident_bytes()).filter(|bytes| *bytes > 0)
}

/// Seconds of processor time, in user mode and in the kernel.
pub(super) fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    (Duration::from_secs(seconds) + Duration::from_nanos(nanos)).as_secs_f64()
}

/// A point in time, in seconds of the epoch.
pub(super) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
