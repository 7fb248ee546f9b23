//! Hooks.

use super::faults::{fault, hang, note, variable};
use std::io::{Error, Result};
use std::sync::OnceLock;
use std::time::Duration;

mpfork::after_preload!(freeze, name = "freeze");
mpfork::before_fork!(check, name = "check");
mpfork::after_fork!(reopen, name = "reopen");
mpfork::at_worker_exit!(say_goodbye, name = "say-goodbye");

fn freeze() -> Result<()> {
    if fault("freeze-hangs") {
        hang();
    }
    if fault("freeze-thread") {
        let thread = std::thread::Builder::new().name("thawed".to_owned());
        thread.spawn(|| hang())?;
    }
    if fault("freeze") {
        return Err(Error::other("can't freeze"));
    }
    Ok(())
}

fn check() -> Result<()> {
    super::preloads::scatter();
    if fault("before-fork") {
        return Err(Error::other("not now"));
    }
    if fault("before-fork-panic") {
        panic!("never");
    }
    if fault("late-thread") {
        let thread = std::thread::Builder::new().name("late".to_owned());
        thread.spawn(|| hang())?;
    }
    if fault("dear") {
        take_longer_than_the_launch();
    }
    if fault("die-before-fork") {
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?;
    }
    // Ends and reaps its own workers behind its back.
    if fault("thief")
        && let Some(gate) = variable("TEST_GATE")
        && std::fs::exists(gate)?
    {
        steal()?;
    }
    Ok(())
}

/// As one does that collects garbage before each fork: whoever asks for the first has launched this.
fn take_longer_than_the_launch() {
    static LAUNCH: OnceLock<Duration> = OnceLock::new();
    let launch = LAUNCH.get_or_init(|| {
        let began = mpfork_sys::processes::start_time(None).unwrap_or(0);
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let uptime: f64 = uptime
            .split(' ')
            .next()
            .map_or(0.0, |text| text.parse().unwrap_or(0.0));
        // In hundredths of a second.
        let since =
            Duration::from_secs_f64(uptime).saturating_sub(Duration::from_millis(began * 10));
        since.clamp(Duration::from_millis(20), Duration::from_secs(2))
    });
    std::thread::sleep(*launch * 3);
}

fn steal() -> Result<()> {
    use nix::sys::signal::{Signal, kill};
    let id = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/self/task/{id}/children"))?;
    for child in children.split_whitespace() {
        let child = nix::unistd::Pid::from_raw(child.parse().map_err(Error::other)?);
        kill(child, Signal::SIGKILL)?;
        nix::sys::wait::waitpid(child, None)?;
    }
    Ok(())
}

fn reopen() -> Result<()> {
    if fault("after-fork") {
        return Err(Error::other("can't reopen"));
    }
    Ok(())
}

fn say_goodbye() -> Result<()> {
    note("TEST_GOODBYE", "goodbye")?;
    if fault("at-exit") {
        return Err(Error::other("can't say goodbye"));
    }
    Ok(())
}
