//! A supervisor that waits for everything with a limit, and checks at its end that nothing is left.
#![allow(dead_code, unreachable_pub, unused_imports)]

mod start;
mod wire;
mod worker;
mod zygote;

pub use start::Start;
pub use wire::Wire;
pub use worker::{Outcome, Worker};
pub use zygote::{ROOM, Zygote};

use rustix::event::{PollFd, PollFlags, Timespec};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Longer than anything takes, on the slowest machine.
pub const LIMIT: Duration = Duration::from_secs(60);

pub const PROBE: &str = env!("CARGO_BIN_EXE_zygote-probe");
pub const CONTRADICTION: &str = env!("CARGO_BIN_EXE_zygote-contradiction");

/// Waits until a pidfd is readable.
pub fn ended(pidfd: impl AsFd, limit: Duration) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    let limit = Timespec {
        tv_sec: limit.as_secs().try_into().unwrap(),
        tv_nsec: limit.subsec_nanos().into(),
    };
    rustix::event::poll(&mut polled, Some(&limit)).unwrap() == 1
}

/// Waits until a condition holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The processes of a session, zombies too.
pub fn processes_of_session(session: i32) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = stat(pid)?;
        // The dead that init was left with are init's to reap, and not every container's does.
        let left_to_init = stat[0] == "Z" && stat[1] == "1";
        (!left_to_init && stat.get(3)?.parse() == Ok(session)).then_some(pid)
    });
    pids.collect()
}

/// The fields of `/proc/PID/stat` from the state on: state, parent, group, session, terminal, ...
pub fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

pub fn read_all(mut pipe: impl std::io::Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}
