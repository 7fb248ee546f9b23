//! Whether memory is short, by what the kernel says of it and of tasks that wait for it.

use mpfork_sys::memory::{self, Supply};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// In the last ten seconds some task waited for memory in more than this part of the time, in per cent.
const HIGH: f64 = 10.0;

/// Where the kernel tells of tasks that wait for memory: of this machine, and of the control group mpforkd runs
/// in.
#[derive(Debug)]
pub(crate) struct Sources {
    /// As `/proc`.
    proc: PathBuf,
    /// Of version 2.
    group: Option<PathBuf>,
}

/// In what way memory is short.
#[derive(Debug, PartialEq)]
pub(crate) enum Short {
    /// Tasks waited for it in so much of the time, in per cent.
    Waited(f64),
    /// So many bytes are available.
    Available(u64),
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waited(part) => write!(f, "tasks waited for it in {part} % of the last 10 s"),
            Self::Available(bytes) => write!(f, "{bytes} bytes are available"),
        }
    }
}

impl Sources {
    /// Those of this system.
    pub(crate) fn of_system() -> Self {
        let proc = PathBuf::from("/proc");
        let groups = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let group = own.map(|own| Path::new("/sys/fs/cgroup").join(own));
        Self { proc, group }
    }

    /// Whether memory is short: tasks wait for it, or less than so many bytes are available. Where the kernel
    /// does not tell it is not.
    pub(crate) fn short(&self, least: u64) -> Option<Short> {
        short(self.waited(), &memory::supplies(), least)
    }

    fn waited(&self) -> f64 {
        let group = self
            .group
            .as_ref()
            .map(|group| group.join("memory.pressure"));
        let files = [Some(self.proc.join("pressure/memory")), group];
        let waited = files
            .into_iter()
            .flatten()
            .filter_map(|file| some(&fs::read_to_string(file).ok()?));
        waited.fold(0.0, f64::max)
    }
}

fn short(waited: f64, supplies: &[Supply], least: u64) -> Option<Short> {
    if waited > HIGH {
        return Some(Short::Waited(waited));
    }
    let available = supplies.iter().map(|supply| supply.available).min();
    available
        .filter(|available| *available < least)
        .map(Short::Available)
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

    #[test]
    fn tasks_wait_in_the_machine_or_in_the_group() {
        let folder = tempfile::tempdir().unwrap();
        let (proc, group) = (folder.path().join("proc"), folder.path().join("group"));
        fs::create_dir_all(proc.join("pressure")).unwrap();
        fs::create_dir_all(&group).unwrap();
        let sources = Sources {
            proc: proc.clone(),
            group: Some(group.clone()),
        };
        let waited = |expected: f64| (sources.waited() - expected).abs() < 0.001;
        assert!(waited(0.0), "nothing is told");
        let write = |path: &Path, part: &str| {
            let text = format!("some avg10={part} avg60=0 avg300=0 total=1\n");
            fs::write(path, text).unwrap();
        };
        for file in [proc.join("pressure/memory"), group.join("memory.pressure")] {
            write(&file, "10.01");
            assert!(waited(10.01), "{}", file.display());
            write(&file, "0.00");
            assert!(waited(0.0), "{}", file.display());
        }
    }

    #[test]
    fn memory_is_short_where_there_is_least_of_it() {
        let supplies = |left: &[u64]| -> Vec<Supply> {
            let supply = |available: &u64| Supply {
                all: 1000,
                available: *available,
            };
            left.iter().map(supply).collect()
        };
        assert_eq!(short(HIGH, &supplies(&[]), 100), None, "nothing is told");
        assert_eq!(short(HIGH, &supplies(&[500, 100]), 100), None);
        let least = Some(Short::Available(99));
        assert_eq!(short(0.0, &supplies(&[500, 99, 200]), 100), least);
        assert_eq!(short(0.0, &supplies(&[99]), 0), None);
        let busy = HIGH + 0.01;
        assert_eq!(short(busy, &supplies(&[500]), 0), Some(Short::Waited(busy)));
    }
}
