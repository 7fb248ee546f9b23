//! The page people keep open.

use super::Call;
use crate::convert::to_wire;
use crate::daemon::Daemon;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{Configuration, Feature, GetStatusRequest, GetStatusResponse, Limit};
use std::os::unix::ffi::OsStrExt as _;

pub(super) async fn serve(call: Call<GetStatusRequest>) -> Result<GetStatusResponse, Problem> {
    let daemon = &call.daemon;
    let templates = daemon.templates.all();
    Ok(GetStatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: i32::try_from(std::process::id()).unwrap_or(0),
        uptime: Some(to_wire(daemon.started.elapsed())),
        socket: daemon.socket.as_os_str().as_bytes().to_vec(),
        instance: daemon.instance,
        uid: nix::unistd::geteuid().as_raw(),
        shutting_down: daemon.is_shutting_down(),
        limits: limits(daemon),
        features: features(daemon),
        templates: templates
            .iter()
            .map(|template| template.describe())
            .collect(),
        workers: Some(daemon.workers.totals()),
        connections: u32::try_from(daemon.peers.len()).unwrap_or(u32::MAX),
        strangers_reaped: daemon.children.strangers(),
        draining: daemon.is_draining(),
        log_filter: Some(daemon.log.describe()),
        configuration: configuration(daemon),
    })
}

fn configuration(daemon: &Daemon) -> Option<Configuration> {
    let path = daemon.settings.path()?;
    Some(Configuration {
        path: path.as_os_str().as_bytes().to_vec(),
        read: Some(daemon.settings.read().into()),
        error: daemon.settings.error().unwrap_or_default(),
        pending: daemon.settings.pending(),
    })
}

fn limits(daemon: &Daemon) -> Vec<Limit> {
    let limits = &daemon.config().limits;
    let limit = |name: &str, value: usize, used: Option<usize>| Limit {
        name: name.to_owned(),
        value: value as u64,
        used: used.map(|used| used as u64),
    };
    let mut all = vec![
        limit("workers", limits.workers, Some(daemon.workers.live())),
        limit("workers_per_template", limits.workers_per_template, None),
        limit(
            "waiting_starts",
            limits.waiting_starts,
            Some(daemon.waiting_starts()),
        ),
        limit("templates", limits.templates, Some(daemon.templates.len())),
        limit("connections", limits.connections, Some(daemon.peers.len())),
        limit("calls_per_connection", limits.calls_per_connection, None),
        limit(
            "request_bytes_per_connection",
            limits.request_bytes_per_connection,
            None,
        ),
        limit("retained_exits", limits.retained_exits, None),
        limit("kept_output", limits.kept_output, None),
        limit(
            "kept_output_total",
            limits.kept_output_total,
            Some(daemon.kept.used()),
        ),
        limit("retained_events", limits.retained_events, None),
        limit("descriptor_credit", limits.descriptor_credit as usize, None),
    ];
    if let Ok(files) = mpfork_sys::limits::get(mpfork_sys::limits::NOFILE) {
        let used = mpfork_sys::descriptors::open_numbers().map(|numbers| numbers.len() as u64);
        all.push(Limit {
            name: "open_files".to_owned(),
            value: files.soft,
            used: used.ok(),
        });
    }
    all
}

fn features(daemon: &Daemon) -> Vec<Feature> {
    daemon
        .features
        .rows()
        .map(|(_, name, found, without)| Feature {
            name: name.to_owned(),
            available: found.is_ok(),
            detail: match found {
                Ok(()) => String::new(),
                Err(why) => format!("{why}; {without}"),
            },
        })
        .collect()
}
