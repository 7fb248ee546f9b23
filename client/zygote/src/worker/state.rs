//! The state a worker starts with: as if its client had executed it.

use super::assignment::{Assignment, Task};
use super::{Kept, Own, StartError, descriptors, environment, limits, report, signals};
use mpfork_proto::link::AssignedState;
use nix::unistd::Pid;
use std::os::fd::{AsFd as _, OwnedFd};

/// Where a worker was born.
pub(super) struct Place {
    pub(super) kept: Kept,
    pub(super) zygote_group: Pid,
}

/// Applies the state an assignment asks for; its task and the function's channel. The worker's own
/// socket may get another number.
pub(super) fn apply(
    assignment: Assignment,
    place: Place,
    own: &mut Own,
) -> Result<(Task, Option<OwnedFd>), StartError> {
    let Assignment {
        task,
        mut state,
        channel,
        descriptors,
        mut not_applied,
    } = assignment;
    let command = matches!(task, Task::Command(_));
    // What preloads opened belongs to the program; a command is another.
    let kept = match place.kept {
        Kept::These(_) if command => Kept::These(Vec::new()),
        kept => kept,
    };
    if command {
        own.door = None;
    }
    let layout = descriptors::Layout::new(&state.placed, kept)?;
    let environment = environment::build(std::mem::take(&mut state.env))?;

    if state.new_session {
        new_session(place.zygote_group)?;
    }
    if let Some(mask) = state.umask {
        mpfork_sys::own_process::set_umask(mask);
    }
    not_applied.extend(state.nice.and_then(set_nice));
    not_applied.extend(set_affinity(&state.affinity));
    change_directory(&state, &descriptors)?;
    if let Some(environment) = environment {
        mpfork_sys::env::replace(environment)
            .map_err(|threads| StartError::bad("environment", threads.to_string()))?;
    }
    // The client's numbers may be beyond our limit, or ours beyond the client's.
    limits::raise_files(&state.rlimits);
    let channel = layout.apply(descriptors, channel, own)?;
    if state.controlling_terminal {
        rustix::process::ioctl_tiocsctty(std::io::stdin().as_fd())
            .map_err(|error| StartError::system("controlling terminal", error))?;
    }
    not_applied.extend(limits::set_all(&state.rlimits));
    not_applied.extend(match task {
        Task::Command(_) => signals::set_dispositions(&state.ignored_signals),
        Task::Main => signals::ignore(&state.ignored_signals),
        Task::Function(_) => Vec::new(),
    });
    not_applied.extend(signals::set_mask(&state.blocked_signals)?);
    report::applied(&own.control, &not_applied);
    Ok((task, channel))
}

/// Leaves the zygote's session. The leader of a process group can't, so the worker goes back to the
/// zygote's group first. Our parent may make it a leader once more at any time, but only once.
fn new_session(zygote_group: Pid) -> Result<(), StartError> {
    let mut result = Ok(());
    for _ in 0..3 {
        let _ = nix::unistd::setpgid(Pid::from_raw(0), zygote_group);
        result = rustix::process::setsid().map(drop);
        if result.is_ok() {
            break;
        }
    }
    result.map_err(|error| StartError::system("session", error))
}

fn change_directory(state: &AssignedState, descriptors: &[OwnedFd]) -> Result<(), StartError> {
    let changed = match (state.cwd, &state.cwd_path) {
        // An open directory wins over a path. The index was checked.
        (Some(index), _) => match descriptors.get(index as usize) {
            Some(directory) => rustix::process::fchdir(directory),
            None => Err(rustix::io::Errno::BADF),
        },
        (None, Some(path)) => rustix::process::chdir(path.as_slice()),
        (None, None) => Ok(()),
    };
    changed.map_err(|error| StartError::system("working directory", error))
}

fn set_nice(nice: i32) -> Option<String> {
    if rustix::process::getpriority_process(None) == Ok(nice) {
        return None;
    }
    let error = rustix::process::setpriority_process(None, nice).err()?;
    Some(format!("nice {nice}: {error}"))
}

fn set_affinity(cpus: &[u32]) -> Option<String> {
    if cpus.is_empty() {
        return None;
    }
    let error = mpfork_sys::own_process::set_affinity(cpus).err()?;
    Some(format!("affinity to CPUs {cpus:?}: {error}"))
}
