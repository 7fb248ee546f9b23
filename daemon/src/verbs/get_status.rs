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
            .map(|template| template.describe(&call.daemon))
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
    let used = |name: &str| match name {
        "workers" => Some(daemon.workers.live()),
        "waiting_starts" => Some(daemon.waiting_starts()),
        "templates" => Some(daemon.templates.len()),
        "connections" => Some(daemon.peers.len()),
        "kept_output_total" => Some(daemon.kept.used()),
        "spares" => Some(daemon.spares.used()),
        _ => None,
    };
    let named = daemon.config().limits.named();
    let limit = |(name, value): (&str, usize)| Limit {
        name: name.to_owned(),
        value: value as u64,
        used: used(name).map(|used| used as u64),
    };
    let mut all: Vec<Limit> = named.into_iter().map(limit).collect();
    all.push(Limit {
        name: "worker_files".to_owned(),
        value: daemon.files.budget() as u64,
        used: Some(daemon.files.used(&daemon.workers) as u64),
    });
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
