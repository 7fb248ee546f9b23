//! The machine, and what else it is doing.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use serde::Serialize;
use std::time::{Duration, Instant};

/// What the figures depend on.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    kernel: String,
    arch: &'static str,
    cpus: usize,
    cpu_model: String,
    optimized: bool,
    version: &'static str,
    /// How many CPUs were busy with something else, on average over the run.
    foreign_load: Option<f64>,
    load_average: String,
}

impl Host {
    pub(super) fn describe(foreign_load: Option<f64>) -> Self {
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
            foreign_load,
            load_average: read("/proc/loadavg").trim().to_owned(),
        }
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let load = self.foreign_load;
        let load = load.map_or("an unknown number of".to_owned(), |load| {
            format!("{load:.2}")
        });
        format!(
            "{} CPUs ({}), Linux {}; {load} CPUs were busy with something else",
            self.cpus, self.cpu_model, self.kernel
        )
    }
}

/// Finds out how much else the machine does during the run.
pub(super) struct Watch {
    began: Instant,
    ticks: Option<Ticks>,
    /// What this process and those it waited for have used before.
    own: Option<f64>,
}

impl Watch {
    pub(super) fn start() -> Self {
        Self {
            began: Instant::now(),
            ticks: Ticks::now(),
            own: own_seconds(),
        }
    }

    /// How many CPUs were busy with something else. All processes of this run must have been waited
    /// for, and by another process of this run each, as time goes up to those who waited: see
    /// [`super::ends::reap`].
    pub(super) fn foreign_load(&self) -> Option<f64> {
        let (before, after) = (self.ticks.as_ref()?, Ticks::now()?);
        let all = after.all - before.all;
        let idle = after.idle - before.idle;
        let cpus = std::thread::available_parallelism().ok()?.get();
        let busy = (all - idle) / all.max(1.0) * f64::from(u32::try_from(cpus).ok()?);
        let own = own_seconds()? - self.own?;
        let foreign = busy - own / self.began.elapsed().as_secs_f64();
        // The kernel's ticks are coarse.
        Some((foreign.max(0.0) * 100.0).round() / 100.0)
    }
}

fn own_seconds() -> Option<f64> {
    Some(cpu_seconds(UsageWho::RUSAGE_SELF)? + cpu_seconds(UsageWho::RUSAGE_CHILDREN)?)
}

fn cpu_seconds(who: UsageWho) -> Option<f64> {
    let usage = getrusage(who).ok()?;
    let micros = |time: TimeVal| u64::try_from(time.num_microseconds()).ok();
    let micros = micros(usage.user_time())? + micros(usage.system_time())?;
    Some(Duration::from_micros(micros).as_secs_f64())
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
