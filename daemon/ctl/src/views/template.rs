//! A template.

use super::compaction::CompactionView;
use super::{age, lossy, seconds, some, time, way_name};
use mpfork_proto::v1::{self, TemplateState};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::SystemTime;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct TemplateView {
    pub(crate) name: String,
    pub(crate) digest: Option<String>,
    pub(crate) state: &'static str,
    /// How its workers are made: by fork, or by spawn where mpforkd can fork nothing.
    pub(crate) way: Option<&'static str>,
    /// Why it is not warm.
    pub(crate) reason: Option<String>,
    pub(crate) configured: bool,
    pub(crate) program: String,
    /// Of what the zygote runs.
    pub(crate) build_id: Option<String>,
    pub(crate) args: Vec<String>,
    pub(crate) preloads: Vec<String>,
    pub(crate) zygote_pid: Option<i32>,
    pub(crate) preload_seconds: Option<f64>,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) pss_bytes: Option<u64>,
    pub(crate) private_bytes: Option<u64>,
    /// How old the three above are.
    pub(crate) memory_age_seconds: Option<f64>,
    pub(crate) workers_running: u32,
    pub(crate) workers_started: u64,
    /// Starts that gave no worker.
    pub(crate) workers_failed: u64,
    pub(crate) start_latency_us: LatencyView,
    /// The same by the way in which workers came about.
    pub(crate) start_latency_us_by_way: BTreeMap<&'static str, LatencyView>,
    /// What a fork of the zygote takes, of late.
    pub(crate) fork_seconds: Option<f64>,
    /// What the zygote does so that a fork takes little.
    pub(crate) compaction: Option<CompactionView>,
    pub(crate) spares: SparesView,
    pub(crate) last_error: Option<String>,
    /// Where and why a preload failed, and what the zygote printed.
    pub(crate) last_trace: Option<String>,
    pub(crate) kept_descriptors: Vec<KeptView>,
    pub(crate) preload_reports: Vec<PreloadView>,
    pub(crate) draining_zygotes: u32,
    /// What would make starts cheaper, where spawning would be.
    pub(crate) advice: Option<String>,
    pub(crate) saving: Option<SavingView>,
}

/// What workers save by sharing their zygote's memory. Of files that programs map nothing is counted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SavingView {
    /// Less than nothing while the zygote and its spares take more than the workers save.
    pub(crate) saved_bytes: i64,
    /// What the workers would take if each had been spawned and had loaded the same.
    pub(crate) spawned_bytes: u64,
    /// What they, the zygote and its spares take.
    pub(crate) taken_bytes: u64,
    /// The workers this counts, and how many of them were looked at.
    pub(crate) workers: u32,
    pub(crate) workers_read: u32,
    /// How old this is.
    pub(crate) age_seconds: Option<f64>,
}

impl SavingView {
    fn new(saving: &v1::Saving, now: SystemTime) -> Self {
        Self {
            saved_bytes: saved(saving.spawned_bytes, saving.taken_bytes),
            spawned_bytes: saving.spawned_bytes,
            taken_bytes: saving.taken_bytes,
            workers: saving.workers,
            workers_read: saving.workers_read,
            age_seconds: time!(saving.sampled).map(|sampled| age(sampled, now)),
        }
    }

    /// Of all templates together, as old as the oldest; nothing when nothing is known of any.
    pub(crate) fn sum<'a>(savings: impl Iterator<Item = &'a Self>) -> Option<Self> {
        savings.cloned().reduce(|all, one| {
            let spawned_bytes = all.spawned_bytes.saturating_add(one.spawned_bytes);
            let taken_bytes = all.taken_bytes.saturating_add(one.taken_bytes);
            Self {
                saved_bytes: saved(spawned_bytes, taken_bytes),
                spawned_bytes,
                taken_bytes,
                workers: all.workers.saturating_add(one.workers),
                workers_read: all.workers_read.saturating_add(one.workers_read),
                age_seconds: match (all.age_seconds, one.age_seconds) {
                    (Some(all), Some(one)) => Some(all.max(one)),
                    (all, one) => all.or(one),
                },
            }
        })
    }
}

fn saved(spawned: u64, taken: u64) -> i64 {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    signed(spawned).saturating_sub(signed(taken))
}

/// Workers forked ahead.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SparesView {
    /// So many wait now.
    pub(crate) idle: u32,
    pub(crate) min: u32,
    pub(crate) max: u32,
}

/// From a request decoded to the fork reported, or to a spare's answer. Nothing while no worker was
/// started.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LatencyView {
    pub(crate) p50: Option<u64>,
    pub(crate) p99: Option<u64>,
    pub(crate) count: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct KeptView {
    pub(crate) number: u32,
    pub(crate) what: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct PreloadView {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    /// Why it failed, when the zygote serves without it.
    pub(crate) error: Option<String>,
}

impl LatencyView {
    fn new(latency: v1::LatencySummary) -> Self {
        let measured = |value| (latency.count > 0).then_some(value);
        Self {
            p50: measured(latency.p50_us),
            p99: measured(latency.p99_us),
            count: latency.count,
        }
    }
}

fn state_name(state: TemplateState) -> &'static str {
    match state {
        TemplateState::Unspecified => "unknown",
        TemplateState::Cold => "cold",
        TemplateState::Warming => "warming",
        TemplateState::Warm => "warm",
        TemplateState::Backoff => "backoff",
        TemplateState::Failed => "failed",
        TemplateState::Draining => "draining",
    }
}

impl TemplateView {
    pub(crate) fn new(template: v1::Template, now: SystemTime) -> Self {
        let state = state_name(template.state());
        let by_way = template.starts_by_way.iter().map(|starts| {
            let latency = LatencyView::new(starts.latency.unwrap_or_default());
            (way_name(starts.way()).unwrap_or("unknown"), latency)
        });
        let by_way = by_way.collect();
        let way = way_name(template.way());
        let memory = template.memory;
        let sampled = memory.and_then(|memory| time!(memory.sampled));
        let kept = template.kept_descriptors.into_iter().map(|kept| KeptView {
            number: kept.number,
            what: kept.what,
        });
        let reports = template.preload_reports.into_iter();
        let reports = reports.map(|report| PreloadView {
            name: report.name,
            seconds: seconds!(report.time).unwrap_or_default(),
            error: some(report.error),
        });
        Self {
            name: template.name,
            digest: some(template.digest),
            state,
            way,
            reason: some(template.reason),
            configured: template.configured,
            program: lossy(&template.program),
            build_id: some(template.build_id),
            args: template.args.iter().map(|arg| lossy(arg)).collect(),
            preloads: template.preloads,
            zygote_pid: (template.zygote_pid != 0).then_some(template.zygote_pid),
            preload_seconds: seconds!(template.preload_time),
            rss_bytes: memory.map(|memory| memory.rss_bytes),
            pss_bytes: memory.map(|memory| memory.pss_bytes),
            private_bytes: memory.map(|memory| memory.private_bytes),
            memory_age_seconds: sampled.map(|sampled| age(sampled, now)),
            workers_running: template.workers_running,
            workers_started: template.workers_started,
            workers_failed: template.workers_failed,
            start_latency_us: LatencyView::new(template.start_latency.unwrap_or_default()),
            start_latency_us_by_way: by_way,
            fork_seconds: seconds!(template.fork_time),
            compaction: template
                .compaction
                .map(|compaction| CompactionView::new(compaction, now)),
            spares: SparesView {
                idle: template.spares_idle,
                min: template.spares_min,
                max: template.spares_max,
            },
            last_error: some(template.last_error),
            last_trace: some(template.last_trace),
            kept_descriptors: kept.collect(),
            preload_reports: reports.collect(),
            draining_zygotes: template.draining_zygotes,
            advice: some(template.advice),
            saving: template.saving.map(|saving| SavingView::new(&saving, now)),
        }
    }

    /// Its state, and that its workers are made by spawn where they are.
    pub(crate) fn state_label(&self) -> String {
        match self.way {
            Some("spawn") => format!("{}, by spawn", self.state),
            _ => self.state.to_owned(),
        }
    }

    /// What tells it from others, for people: a configured one's name is its own, programs that were
    /// registered may have the same.
    pub(crate) fn label(&self) -> String {
        match self.digest.as_deref().and_then(|digest| digest.get(..8)) {
            Some(short) if !self.configured => format!("{} {short}", self.name),
            _ => self.name.clone(),
        }
    }
}
