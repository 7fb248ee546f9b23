//! How large a process is.

use anyhow::Context as _;
use std::cell::Cell;
use std::time::Duration;

/// A process's size at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gauge {
    /// Resident memory in bytes.
    pub(super) rss: u64,
    /// Open descriptors.
    pub(super) descriptors: usize,
}

impl Gauge {
    pub(super) fn of(pid: i32) -> anyhow::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: u64 = words.context("no VmRSS")?.parse()?;
        Ok(Self {
            rss: kilobytes * 1024,
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        })
    }
}

/// The largest a process gets.
#[derive(Debug)]
pub(super) struct Trace {
    pid: i32,
    most: Cell<Gauge>,
}

impl Trace {
    pub(super) fn of(pid: i32) -> Self {
        Self {
            pid,
            most: Cell::default(),
        }
    }

    /// Looks at it again and again; returns only when that fails.
    pub(super) async fn watch<T>(&self) -> anyhow::Result<T> {
        const PERIOD: Duration = Duration::from_millis(50);
        loop {
            let now = Gauge::of(self.pid)?;
            let most = self.most.get();
            self.most.set(Gauge {
                rss: most.rss.max(now.rss),
                descriptors: most.descriptors.max(now.descriptors),
            });
            tokio::time::sleep(PERIOD).await;
        }
    }

    pub(super) fn most(&self) -> Gauge {
        self.most.get()
    }
}
