//! The daemon's status.

use super::{SavingView, TemplateView, lossy, seconds, time};
use mpfork_proto::v1;
use serde::Serialize;
use std::time::SystemTime;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct StatusView {
    pub(crate) version: String,
    pub(crate) pid: i32,
    pub(crate) uptime_seconds: f64,
    pub(crate) socket: String,
    pub(crate) instance: String,
    pub(crate) uid: u32,
    pub(crate) shutting_down: bool,
    /// No starts are taken, until that is undone.
    pub(crate) draining: bool,
    pub(crate) log_filter: LogFilterView,
    pub(crate) limits: Vec<LimitView>,
    pub(crate) features: Vec<FeatureView>,
    pub(crate) templates: Vec<TemplateView>,
    pub(crate) workers: WorkersView,
    /// What all workers save by sharing their zygotes' memory.
    pub(crate) saving: Option<SavingView>,
    pub(crate) connections: u32,
    pub(crate) strangers_reaped: u64,
    pub(crate) configuration: Option<ConfigurationView>,
}

/// What the daemon logs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LogFilterView {
    pub(crate) filter: String,
    /// How long it holds; until it is changed when absent.
    pub(crate) left_seconds: Option<f64>,
    /// The one that holds then.
    pub(crate) afterwards: Option<String>,
}

impl LogFilterView {
    pub(crate) fn new(filter: v1::LogFilter) -> Self {
        Self {
            left_seconds: seconds!(filter.left),
            filter: filter.filter,
            afterwards: super::some(filter.afterwards),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct LimitView {
    pub(crate) name: String,
    pub(crate) value: u64,
    pub(crate) used: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct FeatureView {
    pub(crate) name: String,
    pub(crate) available: bool,
    pub(crate) detail: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ConfigurationView {
    pub(crate) path: String,
    /// How long what is in force has been.
    pub(crate) age_seconds: Option<f64>,
    pub(crate) error: Option<String>,
    pub(crate) pending: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct WorkersView {
    pub(crate) running: u64,
    pub(crate) started: u64,
    pub(crate) exited: u64,
    pub(crate) failed: u64,
}

impl StatusView {
    pub(crate) fn new(status: v1::GetStatusResponse, now: SystemTime) -> Self {
        let limits = status.limits.into_iter().map(|limit| LimitView {
            name: limit.name,
            value: limit.value,
            used: limit.used,
        });
        let features = status.features.into_iter().map(|feature| FeatureView {
            name: feature.name,
            available: feature.available,
            detail: super::some(feature.detail),
        });
        let configuration = status.configuration.map(|configuration| ConfigurationView {
            path: lossy(&configuration.path),
            age_seconds: time!(configuration.read).map(|read| super::age(read, now)),
            error: super::some(configuration.error),
            pending: configuration.pending,
        });
        let templates = status.templates.into_iter();
        let templates: Vec<_> = templates.map(|t| TemplateView::new(t, now)).collect();
        let workers = status.workers.unwrap_or_default();
        Self {
            version: status.version,
            pid: status.pid,
            uptime_seconds: seconds!(status.uptime).unwrap_or_default(),
            socket: lossy(&status.socket),
            instance: format!("{:x}", status.instance),
            uid: status.uid,
            shutting_down: status.shutting_down,
            draining: status.draining,
            log_filter: LogFilterView::new(status.log_filter.unwrap_or_default()),
            limits: limits.collect(),
            features: features.collect(),
            saving: SavingView::sum(templates.iter().filter_map(|t| t.saving.as_ref())),
            templates,
            workers: WorkersView {
                running: workers.running,
                started: workers.started,
                exited: workers.exited,
                failed: workers.failed,
            },
            connections: status.connections,
            strangers_reaped: status.strangers_reaped,
            configuration,
        }
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    pub(crate) fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn duration(millis: i64) -> Option<prost_types::Duration> {
        Some(prost_types::Duration {
            seconds: millis / 1000,
            nanos: i32::try_from(millis % 1000).unwrap() * 1_000_000,
        })
    }

    fn memory(rss: u64, age: i64) -> Option<v1::Memory> {
        Some(v1::Memory {
            rss_bytes: rss,
            pss_bytes: rss / 2,
            private_bytes: rss / 4,
            sampled: Some(prost_types::Timestamp {
                seconds: 1_800_000_000 - age,
                nanos: 0,
            }),
        })
    }

    pub(crate) fn template(name: &str) -> v1::Template {
        v1::Template {
            name: name.to_owned(),
            digest: "3f2a9c1e".repeat(8),
            state: v1::TemplateState::Warm.into(),
            configured: true,
            program: b"/usr/lib/words".to_vec(),
            args: vec![b"--fast".to_vec(), b"two words".to_vec()],
            preloads: vec!["vocabulary".to_owned()],
            build_id: "e1ba90".to_owned(),
            zygote_pid: 4250,
            preload_time: duration(1310),
            memory: memory(123_456_789, 4),
            workers_running: 3,
            workers_started: 120,
            workers_failed: 2,
            start_latency: Some(v1::LatencySummary {
                p50_us: 212,
                p99_us: 1130,
                count: 120,
            }),
            starts_by_way: vec![
                v1::StartsByWay {
                    way: v1::StartWay::Fork.into(),
                    latency: Some(v1::LatencySummary {
                        p50_us: 1020,
                        p99_us: 1130,
                        count: 4,
                    }),
                },
                v1::StartsByWay {
                    way: v1::StartWay::Spare.into(),
                    latency: Some(v1::LatencySummary {
                        p50_us: 211,
                        p99_us: 305,
                        count: 116,
                    }),
                },
            ],
            fork_time: Some(prost_types::Duration {
                seconds: 0,
                nanos: 870_000,
            }),
            compaction: Some(compaction()),
            spares_idle: 3,
            spares_max: 8,
            saving: Some(v1::Saving {
                spawned_bytes: 360_000_000,
                taken_bytes: 140_000_000,
                workers: 3,
                workers_read: 3,
                sampled: Some(prost_types::Timestamp {
                    seconds: 1_800_000_000 - 4,
                    nanos: 0,
                }),
            }),
            kept_descriptors: vec![v1::KeptDescriptor {
                number: 5,
                what: "/usr/share/words".to_owned(),
            }],
            preload_reports: vec![v1::PreloadReport {
                name: "vocabulary".to_owned(),
                time: duration(1305),
                ..v1::PreloadReport::default()
            }],
            way: v1::StartWay::Fork.into(),
            ..v1::Template::default()
        }
    }

    fn compaction() -> v1::Compaction {
        let step = |name: &str, millis, bytes, why: &str| v1::compaction::Step {
            name: name.to_owned(),
            time: duration(millis),
            bytes,
            why: why.to_owned(),
        };
        v1::Compaction {
            anonymous_bytes: 120 << 20,
            huge_bytes: 112 << 20,
            sampled: memory(0, 4).and_then(|memory| memory.sampled),
            anonymous_bytes_before: 119 << 20,
            fork_before: duration(12),
            fork_after: duration(1),
            time: duration(340),
            steps: vec![
                step("trim", 1, 0, ""),
                step("collapse", 310, 112 << 20, "the time limit has passed"),
            ],
            times_again: 2,
            bytes_again: 8 << 20,
            ..v1::Compaction::default()
        }
    }

    pub(crate) fn failed_template() -> v1::Template {
        v1::Template {
            name: "vectors".to_owned(),
            digest: "77".repeat(32),
            state: v1::TemplateState::Backoff.into(),
            reason: "preload \"index\" of vectors failed: No such file or directory (os error 2)"
                .to_owned(),
            program: b"/home/me/vectors".to_vec(),
            workers_failed: 7,
            last_error:
                "preload \"index\" of vectors failed: No such file or directory (os error 2)"
                    .to_owned(),
            ..v1::Template::default()
        }
    }

    pub(crate) fn status() -> v1::GetStatusResponse {
        let limit = |name: &str, value, used| v1::Limit {
            name: name.to_owned(),
            value,
            used,
        };
        let feature = |name: &str, detail: &str| v1::Feature {
            name: name.to_owned(),
            available: detail.is_empty(),
            detail: detail.to_owned(),
        };
        v1::GetStatusResponse {
            version: "0.1.0".to_owned(),
            pid: 4242,
            uptime: duration(11_580_000),
            socket: b"/run/user/1000/mpforkd/mpforkd.sock".to_vec(),
            instance: 0x5f3a_9c10_2233_4455,
            uid: 1000,
            limits: vec![
                limit("workers", 20_000, Some(3)),
                limit("workers_per_template", 20_000, None),
                limit("open_files", u64::MAX, Some(41)),
            ],
            features: vec![
                feature("exit-info", ""),
                feature(
                    "group-signal",
                    "Invalid argument (os error 22); without it zygotes end what is left of a \
                     worker's group, and leftovers are not named",
                ),
            ],
            templates: vec![template("words"), failed_template()],
            workers: Some(v1::WorkerTotals {
                running: 3,
                started: 120,
                exited: 117,
                failed: 9,
            }),
            connections: 2,
            strangers_reaped: 1,
            configuration: Some(v1::Configuration {
                path: b"/etc/mpforkd/mpforkd.toml".to_vec(),
                read: Some(prost_types::Timestamp {
                    seconds: 1_800_000_000 - 90,
                    nanos: 0,
                }),
                error: "TOML parse error at line 3, column 1\n3 | workres = 4\nunknown field"
                    .to_owned(),
                pending: vec!["socket".to_owned(), "metrics".to_owned()],
            }),
            ..v1::GetStatusResponse::default()
        }
    }

    #[test]
    fn json_has_what_was_promised() {
        let json = serde_json::to_value(StatusView::new(status(), now())).unwrap();
        for pointer in [
            "/version",
            "/pid",
            "/uptime_seconds",
            "/socket",
            "/workers/running",
            "/workers/started",
            "/workers/exited",
            "/workers/failed",
            "/limits/0/used",
            "/features/1/detail",
            "/connections",
            "/configuration/path",
            "/configuration/age_seconds",
            "/configuration/error",
            "/configuration/pending/1",
            "/saving/saved_bytes",
            "/templates/0/saving/workers_read",
        ] {
            assert!(
                json.pointer(pointer).is_some_and(|v| !v.is_null()),
                "{pointer}"
            );
        }
        assert_eq!(json["uptime_seconds"], 11580.0);
        let template = json["templates"][0].as_object().unwrap();
        for key in [
            "name",
            "digest",
            "state",
            "zygote_pid",
            "preload_seconds",
            "rss_bytes",
            "pss_bytes",
            "workers_running",
            "workers_started",
            "workers_failed",
            "start_latency_us",
        ] {
            assert!(template.get(key).is_some_and(|v| !v.is_null()), "{key}");
        }
        assert_eq!(template["state"], "warm");
        assert_eq!(template["preload_seconds"], 1.31);
        assert_eq!(template["start_latency_us"]["p50"], 212);
        assert_eq!(template["start_latency_us"]["p99"], 1130);
        assert_eq!(template["memory_age_seconds"], 4.0);
        assert_eq!(template["saving"]["saved_bytes"], 220_000_000);
        assert_eq!(template["saving"]["age_seconds"], 4.0);
        let by_way = &template["start_latency_us_by_way"];
        assert_eq!(
            (&by_way["fork"]["p99"], &by_way["spare"]["p50"]),
            (&1130.into(), &211.into())
        );
        assert!(template["advice"].is_null());
        assert!(template["last_error"].is_null());
        let failed = &json["templates"][1];
        assert_eq!(failed["state"], "backoff");
        assert!(failed["zygote_pid"].is_null());
        assert!(failed["start_latency_us"]["p50"].is_null());
        assert!(failed["last_error"].as_str().unwrap().contains("index"));
    }
}
