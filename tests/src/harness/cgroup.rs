//! Limits of how many processes there may be: by a cgroup for root, whom others do not bind.

use mpfork_sys::limits::{self, NPROC, Rlimit};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the controller of processes is mounted, version 1 and 2.
const PLACES: [&str; 2] = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];

/// A cgroup of a test, removed in the end.
#[derive(Debug)]
pub struct PidsCgroup(PathBuf);

impl PidsCgroup {
    /// A new one in which no process can fork; `None` where none can be made.
    #[must_use]
    pub fn full() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mpfork-test-{}-{number}", std::process::id());
        PLACES
            .iter()
            .filter(|place| Path::new(place).join("cgroup.procs").exists())
            .map(|place| Self(Path::new(place).join(&name)))
            .find(|cgroup| {
                std::fs::create_dir(&cgroup.0).is_ok()
                    && std::fs::write(cgroup.0.join("pids.max"), "1").is_ok()
            })
    }

    /// Puts a process into it.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn add(&self, pid: i32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// Lets processes fork again.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn lift(&self) {
        std::fs::write(self.0.join("pids.max"), "max").unwrap();
    }
}

impl Drop for PidsCgroup {
    fn drop(&mut self) {
        let _ = super::wait::within(super::LIMIT, || {
            let left = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
            for pid in left.lines() {
                let _ = std::fs::write(self.0.with_file_name("cgroup.procs"), pid);
            }
            std::fs::remove_dir(&self.0).ok()
        });
    }
}

/// A process that can make no other, until that is lifted or this is dropped.
#[derive(Debug)]
pub enum NoMoreProcesses {
    /// As root.
    Cgroup(PidsCgroup),
    /// As anybody else: the process, and what its limit was.
    Limit(i32, Rlimit),
}

impl NoMoreProcesses {
    /// Limits a process; `None` where that can't be done.
    ///
    /// # Panics
    /// When the system refuses.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        if super::is_root() {
            let cgroup = PidsCgroup::full()?;
            cgroup.add(pid);
            return Some(Self::Cgroup(cgroup));
        }
        // The same as that of this process, from which it has it.
        let before = limits::get(NPROC).unwrap();
        let none = Rlimit { soft: 1, ..before };
        limits::set(pid, none).unwrap();
        Some(Self::Limit(pid, before))
    }

    /// Lets it make processes again.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn lift(&self) {
        match self {
            Self::Cgroup(cgroup) => cgroup.lift(),
            Self::Limit(pid, before) => limits::set(*pid, *before).unwrap(),
        }
    }
}
