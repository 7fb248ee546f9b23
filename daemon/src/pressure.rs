//! Whether memory is short, by what the kernel says of it and of tasks that wait for it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// In the last ten seconds some task waited for memory in more than this part of the time, in per cent.
const HIGH: f64 = 10.0;

/// Where the kernel tells of memory, of this machine and of the control group mpforkd runs in.
#[derive(Debug)]
pub(crate) struct Sources {
    /// As `/proc`.
    proc: PathBuf,
    /// Of version 2; it may have no limits.
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
        let waited = self.waited();
        if waited > HIGH {
            return Some(Short::Waited(waited));
        }
        self.available()
            .filter(|available| *available < least)
            .map(Short::Available)
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

    fn available(&self) -> Option<u64> {
        let machine = fs::read_to_string(self.proc.join("meminfo"));
        let machine = machine.ok().and_then(|text| {
            let kilobytes = text
                .lines()
                .find_map(|line| line.strip_prefix("MemAvailable:"))?;
            kilobytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        let machine = machine.map(|kilobytes| kilobytes.saturating_mul(1024));
        let group = self.group.as_deref().and_then(left_of_group);
        machine.into_iter().chain(group).min()
    }
}

/// What a control group with a limit may have yet; what it caches of files it can have for something else.
fn left_of_group(group: &Path) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        fs::read_to_string(group.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let (most, used) = (number("memory.max")?, number("memory.current")?);
    let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached = statistics
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
    let used = used.saturating_sub(cached.unwrap_or_default());
    Some(most.saturating_sub(used))
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
    fn memory_is_short_in_the_machine_or_in_the_group() {
        let folder = tempfile::tempdir().unwrap();
        let (proc, group) = (folder.path().join("proc"), folder.path().join("group"));
        fs::create_dir_all(proc.join("pressure")).unwrap();
        fs::create_dir_all(&group).unwrap();
        let sources = Sources {
            proc: proc.clone(),
            group: Some(group.clone()),
        };
        let short = || sources.short(100 << 10);
        assert_eq!(short(), None, "nothing is told");
        let write = |path: PathBuf, text: &str| fs::write(path, text).unwrap();
        write(
            proc.join("meminfo"),
            "MemTotal: 9 kB\nMemAvailable:      200 kB\n",
        );
        let calm = "some avg10=10.00 avg60=0 avg300=0 total=1\n";
        let busy = "some avg10=10.01 avg60=0 avg300=0 total=1\n";
        let files = [proc.join("pressure/memory"), group.join("memory.pressure")];
        for file in files {
            write(file.clone(), calm);
            assert_eq!(short(), None);
            write(file.clone(), busy);
            assert_eq!(short(), Some(Short::Waited(10.01)), "{}", file.display());
            write(file, calm);
        }
        write(group.join("memory.current"), "500000");
        write(group.join("memory.max"), "max");
        assert_eq!(short(), None, "it has no limit");
        write(group.join("memory.max"), "550000");
        assert_eq!(short(), Some(Short::Available(50_000)));
        write(group.join("memory.stat"), "anon 1\ninactive_file 60000\n");
        assert_eq!(short(), None, "what it caches can be had");
        write(proc.join("meminfo"), "MemAvailable:      99 kB\n");
        assert_eq!(short(), Some(Short::Available(99 << 10)));
        assert_eq!(sources.short(0), None);
    }
}
