//! The machine, and what else it is doing.

use serde::Serialize;
use std::time::Duration;

/// What the figures depend on.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    kernel: String,
    arch: &'static str,
    cpus: usize,
    cpu_model: String,
    optimized: bool,
    version: &'static str,
    /// How many CPUs others kept busy just before and just after, while this bench did nothing.
    pub(super) foreign_load_before: Option<f64>,
    pub(super) foreign_load_after: Option<f64>,
    load_average: String,
}

impl Host {
    pub(super) fn describe(before: Option<f64>, after: Option<f64>) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu_info = read("/proc/cpuinfo");
        let model = cpu_info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            arch: std::env::consts::ARCH,
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            cpu_model: model.map_or_else(String::new, |(_, model)| model.to_owned()),
            optimized: !cfg!(debug_assertions),
            version: env!("CARGO_PKG_VERSION"),
            foreign_load_before: before,
            foreign_load_after: after,
            load_average: read("/proc/loadavg").trim().to_owned(),
        }
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let load = |load: Option<f64>| load.map_or("?".to_owned(), |load| format!("{load:.2}"));
        format!(
            "{} CPUs ({}), Linux {}; others kept {} CPUs busy before and {} after",
            self.cpus,
            self.cpu_model,
            self.kernel,
            load(self.foreign_load_before),
            load(self.foreign_load_after)
        )
    }
}

/// How many CPUs are busy while this process waits.
pub(super) fn foreign_load() -> Option<f64> {
    const SAMPLE: Duration = Duration::from_millis(500);
    let before = Ticks::now()?;
    std::thread::sleep(SAMPLE);
    let after = Ticks::now()?;
    let all = after.all - before.all;
    let busy = all - (after.idle - before.idle);
    let cpus = std::thread::available_parallelism().ok()?;
    let load = busy / all.max(1.0) * f64::from(u32::try_from(cpus.get()).ok()?);
    Some((load * 100.0).round() / 100.0)
}

/// The time all CPUs have spent, in the kernel's ticks.
struct Ticks {
    all: f64,
    idle: f64,
}

impl Ticks {
    fn now() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let times = line.split_whitespace().map(str::parse);
        let times: Vec<f64> = times.collect::<Result<_, _>>().ok()?;
        // user nice system idle iowait irq softirq steal; what follows is counted in user already.
        Some(Self {
            all: times.iter().take(8).sum(),
            idle: times.get(3)? + times.get(4)?,
        })
    }
}
