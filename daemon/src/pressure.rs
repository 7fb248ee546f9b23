//! Whether memory is short, by what the kernel says of tasks that wait for it.

use std::fs;
use std::path::PathBuf;

/// In the last ten seconds some task waited for memory in more than this part of the time, in per cent.
const HIGH: f64 = 10.0;

/// Whether memory is short, in this machine or in the control group mpforkd runs in. Where the kernel
/// does not tell it is not.
pub(crate) fn is_high() -> bool {
    let files = [Some(PathBuf::from("/proc/pressure/memory")), own_group()];
    let waited = files
        .into_iter()
        .flatten()
        .filter_map(|file| some(&fs::read_to_string(file).ok()?));
    waited.fold(0.0, f64::max) > HIGH
}

fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(
        PathBuf::from("/sys/fs/cgroup")
            .join(path)
            .join("memory.pressure"),
    )
}

/// How much some task waited.
fn some(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = line
        .split_whitespace()
        .find_map(|field| field.strip_prefix("avg10="))?;
    average.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let text = "some avg10=12.50 avg60=3.10 avg300=0.92 total=1\nfull avg10=1.00 avg60=0 avg300=0 total=1\n";
        assert_eq!(some(text), Some(12.5));
        assert_eq!(some("full avg10=1.00"), None);
        assert_eq!(some("some avg10=much"), None);
        assert_eq!(some(""), None);
    }
}
