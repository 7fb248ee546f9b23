//! The state this process was started with, as JSON.

use nix::sys::signal::SigSet;
use rustix::process::Resource;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const RESOURCES: [(&str, Resource); 4] = [
    ("nofile", Resource::Nofile),
    ("core", Resource::Core),
    ("stack", Resource::Stack),
    ("cpu", Resource::Cpu),
];

/// All of it.
pub(crate) fn report() -> Value {
    let own = rustix::process::getpid();
    json!({
        "argv": std::env::args().collect::<Vec<_>>(),
        "cwd": std::env::current_dir().unwrap_or_default(),
        "env": std::env::vars().collect::<BTreeMap<_, _>>(),
        "umask": status("Umask"),
        "limits": limits(),
        "nice": rustix::process::getpriority_process(None).unwrap_or(99),
        "affinity": mpfork_sys::own_process::affinity(),
        "blocked": blocked(),
        "ignored": status("SigIgn"),
        "descriptors": descriptors(),
        "pid": own.as_raw_nonzero().get(),
        "group": nix::unistd::getpgrp().as_raw(),
        "session": nix::unistd::getsid(None).map_or(0, nix::unistd::Pid::as_raw),
        "comm": std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim(),
    })
}

/// A line of `/proc/self/status`.
fn status(name: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.strip_prefix(':'))
        .map_or_else(String::new, |value| value.trim().to_owned())
}

fn limits() -> BTreeMap<&'static str, (Option<u64>, Option<u64>)> {
    let get = |resource| {
        let limit = rustix::process::getrlimit(resource);
        (limit.current, limit.maximum)
    };
    RESOURCES.iter().map(|(name, r)| (*name, get(*r))).collect()
}

fn blocked() -> Vec<i32> {
    let mask = SigSet::thread_get_mask().unwrap_or_else(|_| SigSet::empty());
    mask.iter().map(|signal| signal as i32).collect()
}

fn descriptors() -> BTreeMap<i32, String> {
    let numbers = mpfork_sys::descriptors::open_numbers().unwrap_or_default();
    let what = |number: i32| {
        let link = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
        (number, link.to_string_lossy().into_owned())
    };
    numbers.into_iter().map(what).collect()
}
