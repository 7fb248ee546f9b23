//! What differs from platform to platform, as data: nowhere else does the crate ask which one it is on.

use crate::method::StartMethod;

/// The platform's start methods, its default first.
pub(crate) const START_METHODS: &[StartMethod] = methods();

#[cfg(windows)]
const fn methods() -> &'static [StartMethod] {
    &[StartMethod::Spawn]
}

/// There, libraries that do not bear a fork are part of the system.
#[cfg(target_vendor = "apple")]
const fn methods() -> &'static [StartMethod] {
    &[
        StartMethod::Spawn,
        StartMethod::Fork,
        StartMethod::ForkServer,
    ]
}

#[cfg(not(any(windows, target_vendor = "apple")))]
const fn methods() -> &'static [StartMethod] {
    &[
        StartMethod::ForkServer,
        StartMethod::Fork,
        StartMethod::Spawn,
    ]
}

/// The CPUs of the machine that are online.
#[cfg(unix)]
pub(crate) fn cpu_count() -> std::io::Result<Option<usize>> {
    Ok(mpfork_sys::own_process::online_cpus())
}

/// The CPUs that this process may use: what the standard library tells.
#[cfg(not(unix))]
pub(crate) fn cpu_count() -> std::io::Result<Option<usize>> {
    Ok(Some(std::thread::available_parallelism()?.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_default_and_no_method_twice() {
        assert!(!START_METHODS.is_empty());
        for (index, method) in START_METHODS.iter().enumerate() {
            assert!(!START_METHODS[..index].contains(method));
        }
        #[cfg(target_os = "linux")]
        assert_eq!(START_METHODS[0], StartMethod::ForkServer);
    }
}
