//! Processes, as libproc(3) tells them.

use super::libproc;
use crate::processes::{Member, Memory};
use std::collections::HashMap;
use std::io;

pub(crate) fn members(groups: &mut HashMap<i32, Vec<Member>>, most: usize) {
    for (group, members) in groups {
        let pids = libproc::group(*group).unwrap_or_default();
        let live = pids.into_iter().filter_map(member);
        members.extend(live.take(most.saturating_sub(members.len())));
    }
}

/// `None` for a process that has ended.
fn member(pid: i32) -> Option<Member> {
    const ZOMBIE: u32 = 5;
    let info = libproc::info::<libc::proc_bsdinfo>(pid).ok()?;
    let name: Vec<u8> = info
        .pbi_comm
        .iter()
        .map(|byte| byte.cast_unsigned())
        .take_while(|byte| *byte != 0)
        .collect();
    (info.pbi_status != ZOMBIE).then(|| Member {
        pid,
        name: String::from_utf8_lossy(&name).into_owned(),
    })
}

/// What a process shares with others is not told.
pub(crate) fn memory(pid: i32) -> io::Result<Memory> {
    let info = libproc::info::<libc::proc_taskinfo>(pid)?;
    Ok(Memory {
        resident: info.pti_resident_size,
        proportional: 0,
        private: 0,
        anonymous: 0,
        shared_memory: 0,
        anonymous_share: 0,
        shared_memory_share: 0,
    })
}

/// In microseconds of the clock of that time.
pub(crate) fn start_time(pid: Option<i32>) -> Option<u64> {
    let pid = pid.unwrap_or_else(|| rustix::process::getpid().as_raw_nonzero().get());
    let info = libproc::info::<libc::proc_bsdinfo>(pid).ok()?;
    let seconds = info.pbi_start_tvsec.checked_mul(1_000_000)?;
    seconds.checked_add(info.pbi_start_tvusec)
}

pub(crate) fn is_stopped(pid: i32) -> bool {
    const STOPPED: u32 = 4;
    libproc::info::<libc::proc_bsdinfo>(pid).is_ok_and(|info| info.pbi_status == STOPPED)
}

/// Not told.
pub(crate) fn ignores(_pid: i32, _signal: i32) -> Option<bool> {
    None
}
