//! An event, or that some are missing.

use super::worker::ExitView;
use super::{some, time};
use mpfork_proto::v1::watch_events_response::What;
use mpfork_proto::v1::{self, EventKind};
use serde::Serialize;

/// One line of what happens.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum NewsView {
    Event(Box<EventView>),
    Gap { gap: GapView },
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct EventView {
    /// To go on from: `mpctl events --since` takes it.
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) instance: String,
    pub(crate) time: Option<String>,
    pub(crate) kind: String,
    pub(crate) template: String,
    pub(crate) template_name: String,
    pub(crate) zygote_pid: Option<i32>,
    pub(crate) worker: Option<String>,
    pub(crate) pid: Option<i32>,
    pub(crate) name: Option<String>,
    pub(crate) task: Option<String>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) message: Option<String>,
    pub(crate) exit: Option<ExitView>,
    /// How many failed starts it tells of; absent in events of other kinds.
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct GapView {
    pub(crate) instance: String,
    pub(crate) first_missed: u64,
    /// Nobody knows, of another run of the daemon.
    pub(crate) last_missed: Option<u64>,
}

/// What a kind is called: `worker-exited`.
pub(crate) fn kind_name(kind: EventKind) -> String {
    let name = kind.as_str_name();
    let name = name.strip_prefix("EVENT_KIND_").unwrap_or(name);
    name.to_ascii_lowercase().replace('_', "-")
}

/// All kinds there are.
pub(crate) fn kinds() -> impl Iterator<Item = EventKind> {
    (1..).map_while(|number| EventKind::try_from(number).ok())
}

impl NewsView {
    pub(crate) fn new(what: What) -> Self {
        match what {
            What::Event(event) => Self::Event(Box::new(EventView::new(event))),
            What::Gap(gap) => Self::Gap {
                gap: GapView {
                    instance: format!("{:x}", gap.instance),
                    first_missed: gap.first_missed,
                    last_missed: gap.last_missed,
                },
            },
        }
    }
}

impl EventView {
    fn new(event: v1::Event) -> Self {
        let reason = event.reason();
        let pid = |pid: i32| (pid != 0).then_some(pid);
        let time = time!(event.time).map(|time| humantime::format_rfc3339_millis(time).to_string());
        Self {
            id: format!("{:x}-{}", event.instance, event.sequence),
            sequence: event.sequence,
            instance: format!("{:x}", event.instance),
            time,
            kind: kind_name(event.kind()),
            zygote_pid: pid(event.zygote_pid),
            worker: event.worker.map(|worker| worker.to_string()),
            pid: pid(event.pid),
            name: some(event.name),
            task: some(event.task),
            reason: (reason != v1::Reason::Unspecified).then(|| reason.wire_name()),
            message: some(event.message),
            count: (event.count != 0).then_some(event.count),
            exit: event.exit.map(|exit| ExitView::new(&exit)),
            template: event.template,
            template_name: event.template_name,
        }
    }
}
