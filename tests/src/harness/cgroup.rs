//! A cgroup that limits how many processes there may be.

use std::path::{Path, PathBuf};

/// Where the controller of processes is mounted, version 1 and 2.
const PLACES: [&str; 2] = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];

/// A cgroup of a test, removed in the end.
#[derive(Debug)]
pub struct PidsCgroup(PathBuf);

impl PidsCgroup {
    /// A new one in which no process can fork; `None` where none can be made.
    #[must_use]
    pub fn full() -> Option<Self> {
        let name = format!("mpfork-test-{}", std::process::id());
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
