//! Each metric: its name, what it means, and where it is read.

use super::{Source, process};
use crate::daemon::Daemon;
use crate::template::buckets::Counted;
use crate::template::{Template, stats::Launches};
use mpfork_proto::reason::TABLE;
use mpfork_proto::v1::{Memory, StartWay, TemplateState};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use std::fmt::Error;
use std::sync::Arc;
use std::time::SystemTime;

/// The states a template may be in.
const STATES: [(TemplateState, &str); 6] = [
    (TemplateState::Cold, "cold"),
    (TemplateState::Warming, "warming"),
    (TemplateState::Warm, "warm"),
    (TemplateState::Backoff, "backoff"),
    (TemplateState::Failed, "failed"),
    (TemplateState::Draining, "draining"),
];
/// The ways in which a worker comes about. What is refused before one is chosen was to be a fork.
const WAYS: [(StartWay, &str); 3] = [
    (StartWay::Fork, "fork"),
    (StartWay::Spare, "spare"),
    (StartWay::Spawn, "spawn"),
];

/// Everything, read from the daemon at each scrape.
#[derive(Debug)]
pub(super) struct Collected(pub(super) Source);

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(daemon) = self.0.upgrade() else {
            return Ok(());
        };
        let mut page = Page(encoder);
        whole(&mut page, &daemon)?;
        per_template(&mut page, &daemon.templates.all())?;
        own_process(&mut page, &daemon)
    }
}

type Labels<'a> = Vec<(&'a str, String)>;

/// A page that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels<'static>, f64)>,
    ) -> Result<(), Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                metric.encode_counter::<Labels<'static>, _, u64>(&value, None)?;
            } else {
                let mut labelled = metric.encode_family(&labels)?;
                labelled.encode_counter::<Labels<'static>, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels<'static>, f64)>,
    ) -> Result<(), Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                metric.encode_gauge(&value)?;
            } else {
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels<'static>, Counted)>,
    ) -> Result<(), Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, counted) in rows {
            metric
                .encode_family(&labels)?
                .encode_histogram::<Labels<'static>>(
                    counted.sum,
                    counted.count,
                    &counted.buckets,
                    None,
                )?;
        }
        Ok(())
    }
}

fn one(value: f64) -> [(Labels<'static>, f64); 1] {
    [(Vec::new(), value)]
}

/// Counts are exact up to 2^53.
fn number(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or(u64::MAX) as f64
}

fn whole(page: &mut Page<'_>, daemon: &Daemon) -> Result<(), Error> {
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    page.gauge(
        "mpforkd_build_info",
        "The version that runs; always 1",
        [(version, 1.0)],
    )?;
    // Each is there from the first scrape: a counter that comes with its first failure shows no increase.
    let failures = WAYS.into_iter().flat_map(|(way, name)| {
        TABLE.iter().map(move |row| {
            let result = row.reason.wire_name().to_ascii_lowercase();
            (name, result, daemon.workers.failures(way, row.reason))
        })
    });
    let starts = WAYS
        .into_iter()
        .map(|(way, name)| (name, "started".to_owned(), daemon.workers.started(way)))
        .chain(failures)
        .map(|(way, result, count)| {
            let labels = vec![("way", way.to_owned()), ("result", result)];
            (labels, number(count))
        });
    page.counter(
        "mpforkd_starts",
        "Starts by the way they went and their result: started, or the reason of the failure",
        starts,
    )?;
    let totals = daemon.workers.totals();
    page.gauge(
        "mpforkd_workers_running",
        "Workers that run",
        one(number(totals.running)),
    )?;
    page.counter(
        "mpforkd_workers_exited",
        "Workers that have ended",
        one(number(totals.exited)),
    )?;
    page.gauge(
        "mpforkd_waiting_starts",
        "Starts that wait for their template to be warm",
        one(number(daemon.waiting_starts())),
    )?;
    page.gauge(
        "mpforkd_connections",
        "Connections of clients",
        one(number(daemon.peers.len())),
    )?;
    page.gauge(
        "mpforkd_retained_exits",
        "Ended workers that are remembered",
        one(number(daemon.workers.remembered())),
    )?;
    page.gauge(
        "mpforkd_zygotes",
        "Zygotes that live, draining ones included",
        one(number(daemon.children.zygotes())),
    )?;
    page.counter(
        "mpforkd_strangers_reaped",
        "Orphans reaped that were no workers",
        one(number(daemon.children.strangers())),
    )?;
    page.gauge(
        "mpforkd_draining",
        "Whether starts are refused until a drain is undone",
        one(f64::from(u8::from(daemon.is_draining()))),
    )?;
    page.gauge(
        "mpforkd_worker_files",
        "Descriptors of mpforkd that workers and their streams take",
        one(number(daemon.files.used(&daemon.workers))),
    )?;
    let config = daemon.config();
    let limits = config.limits.named().into_iter();
    let limits = limits.chain([("worker_files", daemon.files.budget())]);
    page.gauge(
        "mpforkd_limit",
        "The limits in force",
        limits.map(|(name, value)| (vec![("limit", name.to_owned())], number(value))),
    )?;
    page.gauge(
        "mpforkd_config_last_reload_successful",
        "Whether the configuration could be read when it last was",
        one(f64::from(u8::from(daemon.settings.error().is_none()))),
    )?;
    page.gauge(
        "mpforkd_config_last_reload_success_timestamp_seconds",
        "When the configuration in force was read",
        one(process::seconds(daemon.settings.read())),
    )
}

/// A template's name, and the beginning of its digest: there may be several of a name.
fn labels(template: &Template) -> Labels<'static> {
    let digest = template.digest();
    let digest = digest.get(..12).unwrap_or(&digest).to_owned();
    vec![("template", template.display.clone()), ("digest", digest)]
}

fn with(mut labels: Labels<'static>, name: &'static str, value: &str) -> Labels<'static> {
    labels.push((name, value.to_owned()));
    labels
}

fn per_template(page: &mut Page<'_>, templates: &[Arc<Template>]) -> Result<(), Error> {
    let states: Vec<_> = templates.iter().map(|t| (t, t.wire_state())).collect();
    page.gauge(
        "mpforkd_templates",
        "Templates by state",
        STATES.map(|(state, name)| {
            let count = states.iter().filter(|(_, s)| *s == state).count();
            (vec![("state", name.to_owned())], number(count))
        }),
    )?;
    let rows = states.iter().flat_map(|(template, present)| {
        STATES.map(|(state, name)| {
            let here = f64::from(u8::from(*present == state));
            (with(labels(template), "state", name), here)
        })
    });
    page.gauge(
        "mpforkd_template_state",
        "1 for the state that the template is in",
        rows,
    )?;
    let each = |value: &dyn Fn(&Template) -> f64| {
        let row = |template: &Arc<Template>| (labels(template), value(template));
        templates.iter().map(row).collect::<Vec<_>>()
    };
    page.gauge(
        "mpforkd_template_workers_running",
        "Workers that run, by template",
        each(&|template| number(template.stats.running())),
    )?;
    page.gauge(
        "mpforkd_template_spares",
        "Workers forked ahead that wait for an assignment, by template",
        each(&|template| number(template.idle_spares())),
    )?;
    let forks = templates
        .iter()
        .filter_map(|template| Some((labels(template), template.fork_time()?.as_secs_f64())));
    page.gauge(
        "mpforkd_template_fork_seconds",
        "What a fork of the warm zygote takes, of late, with the hooks before it",
        forks,
    )?;
    page.gauge(
        "mpforkd_template_spawn_is_cheaper",
        "1 where forks of the warm zygote take longer than its launch did",
        each(&|template| f64::from(u8::from(template.advice().is_some()))),
    )?;
    let starts = templates.iter().flat_map(|template| {
        let stats = &template.stats;
        [("started", stats.started()), ("failed", stats.failed())]
            .map(|(result, count)| (with(labels(template), "result", result), number(count)))
    });
    page.counter(
        "mpforkd_template_starts",
        "Starts by template and result",
        starts,
    )?;
    let launches = templates.iter().flat_map(|template| {
        let Launches { ready, failed } = template.stats.launches();
        [("ready", ready), ("failed", failed)]
            .map(|(result, count)| (with(labels(template), "result", result), number(count)))
    });
    page.counter(
        "mpforkd_zygote_launches",
        "Zygotes launched, by template and result",
        launches,
    )?;
    page.histogram(
        "mpforkd_start_duration_seconds",
        "From a request decoded to its worker forked, or to a spare that has answered",
        templates.iter().flat_map(|template| {
            WAYS.map(|(way, name)| {
                (
                    with(labels(template), "way", name),
                    template.stats.starts(way),
                )
            })
        }),
    )?;
    page.histogram(
        "mpforkd_preload_duration_seconds",
        "From a zygote executed to its being ready: preloads loaded, memory compacted",
        templates
            .iter()
            .map(|template| (labels(template), template.stats.preloads())),
    )?;
    memory(page, templates)
}

fn memory(page: &mut Page<'_>, templates: &[Arc<Template>]) -> Result<(), Error> {
    let sampled: Vec<(Labels<'static>, Memory)> = templates
        .iter()
        .filter_map(|template| Some((labels(template), template.memory()?)))
        .collect();
    let kinds = sampled.iter().flat_map(|(labels, memory)| {
        [
            ("rss", memory.rss_bytes),
            ("pss", memory.pss_bytes),
            ("private", memory.private_bytes),
        ]
        .map(|(kind, bytes)| (with(labels.clone(), "kind", kind), number(bytes)))
    });
    page.gauge(
        "mpforkd_zygote_memory_bytes",
        "Memory of the warm zygote, when it was last sampled",
        kinds,
    )?;
    let times = sampled.iter().filter_map(|(labels, memory)| {
        let at = SystemTime::try_from(memory.sampled?).ok()?;
        Some((labels.clone(), process::seconds(at)))
    });
    page.gauge(
        "mpforkd_zygote_memory_sampled_timestamp_seconds",
        "When the memory of the warm zygote was last sampled",
        times,
    )?;
    let savings = templates
        .iter()
        .filter_map(|template| Some((labels(template), template.saving()?)));
    let savings = savings.flat_map(|(labels, saving)| {
        [
            ("taken", saving.taken_bytes),
            ("spawned", saving.spawned_bytes),
        ]
        .map(|(kind, bytes)| (with(labels.clone(), "kind", kind), number(bytes)))
    });
    page.gauge(
        "mpforkd_template_memory_bytes",
        "Memory that the running workers, the zygote and its spares take, and that the workers would had they \
         been spawned, when it was last sampled",
        savings,
    )
}

fn own_process(page: &mut Page<'_>, daemon: &Daemon) -> Result<(), Error> {
    page.counter(
        "process_cpu_seconds",
        "Processor time of mpforkd",
        one(process::processor_seconds()),
    )?;
    page.gauge(
        "process_start_time_seconds",
        "When mpforkd was started",
        one(process::seconds(daemon.started_at)),
    )?;
    page.gauge(
        "process_resident_memory_bytes",
        "Resident memory of mpforkd",
        process::resident().map(|bytes| (Vec::new(), number(bytes))),
    )?;
    let open = mpfork_sys::descriptors::open_numbers().ok();
    page.gauge(
        "process_open_fds",
        "Descriptors that mpforkd has open",
        open.map(|numbers| (Vec::new(), number(numbers.len()))),
    )?;
    let most = mpfork_sys::limits::get(mpfork_sys::limits::NOFILE).ok();
    page.gauge(
        "process_max_fds",
        "Descriptors that mpforkd may have open",
        most.map(|limit| (Vec::new(), number(limit.soft))),
    )
}
