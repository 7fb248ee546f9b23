//! What is bounded.

use serde::Deserialize;

/// Bounds. Past one of them a request is refused with the limit's name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Workers that run or are being started.
    pub workers: usize,
    /// The same of one template.
    pub workers_per_template: usize,
    /// Starts that wait for their template to be warm.
    pub waiting_starts: usize,
    /// Templates known, configured ones included.
    pub templates: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Calls that one connection may have under way: each running worker may be waited for by one.
    pub calls_per_connection: usize,
    /// Bytes of requests of one connection that the daemon holds at a time, half-sent ones included.
    pub request_bytes_per_connection: usize,
    /// Ended workers remembered for `WaitWorker` and `GetWorker`.
    pub retained_exits: usize,
    /// Bytes kept of what one worker writes to streams nobody was given; 0: nothing, they are the null
    /// device.
    pub kept_output: usize,
    /// The same of all workers together, ended ones included.
    pub kept_output_total: usize,
    /// Events remembered for `WatchEvents`.
    pub retained_events: usize,
    /// The bytes they may take.
    pub retained_event_bytes: usize,
    /// Workers forked ahead of their starts, of all templates together; 0: none.
    pub spares: usize,
    /// There are none while fewer bytes of memory than this are available.
    pub spares_min_memory: u64,
    /// Descriptors a connection may have on their way.
    pub descriptor_credit: u32,
}

impl Limits {
    /// Those that bound a number from above, by name.
    pub(crate) fn named(&self) -> [(&'static str, usize); 14] {
        let credit = usize::try_from(self.descriptor_credit).unwrap_or(usize::MAX);
        [
            ("workers", self.workers),
            ("workers_per_template", self.workers_per_template),
            ("waiting_starts", self.waiting_starts),
            ("templates", self.templates),
            ("connections", self.connections),
            ("calls_per_connection", self.calls_per_connection),
            (
                "request_bytes_per_connection",
                self.request_bytes_per_connection,
            ),
            ("retained_exits", self.retained_exits),
            ("kept_output", self.kept_output),
            ("kept_output_total", self.kept_output_total),
            ("retained_events", self.retained_events),
            ("retained_event_bytes", self.retained_event_bytes),
            ("spares", self.spares),
            ("descriptor_credit", credit),
        ]
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: 20_000,
            workers_per_template: 20_000,
            waiting_starts: 10_000,
            templates: 256,
            connections: 1_000,
            calls_per_connection: 32_768,
            request_bytes_per_connection: 64 << 20,
            retained_exits: 10_000,
            kept_output: 64 << 10,
            kept_output_total: 64 << 20,
            retained_events: 10_000,
            retained_event_bytes: 16 << 20,
            spares: 64,
            spares_min_memory: 128 << 20,
            descriptor_credit: mpfork_transport::DEFAULT_CREDIT,
        }
    }
}
