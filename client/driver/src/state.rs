//! The state a worker is to start with, checked once at the edge.

use crate::check::{no_nul, take};
use mpfork_proto::environment;
use mpfork_proto::link::{AssignedState, Inherited, assigned_state};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{self, EnvDirective, StartState, env_directive};
use mpfork_sys::limits::{RESOURCES, Rlimit};
use std::os::fd::OwnedFd;

/// The most descriptors one worker may be given; with its directory and channel they fit one message.
const MAX_DESCRIPTORS: usize = 250;
const MAX_TARGET: u32 = 1 << 20;
const MAX_CPU: u32 = 8192;
const MAX_SIGNAL: u32 = 64;

/// Checks a state. Its descriptors are numbered from `index` on: the directory, then those with target
/// numbers, as they come in `descriptors`.
///
/// # Errors
/// The field that is wrong.
pub fn check(
    state: StartState,
    index: &mut u32,
    descriptors: &[OwnedFd],
) -> Result<AssignedState, Problem> {
    let cwd = state.cwd.map(|_| take(index));
    if let Some(cwd) = cwd
        && let Some(descriptor) = descriptors.get(cwd as usize)
        && !rustix::fs::fstat(descriptor)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
    {
        return Err(Problem::bad_request("spec.state.cwd", "it is no directory"));
    }
    no_nul("spec.state.cwd_path", &state.cwd_path)?;
    if state.descriptors.len() > MAX_DESCRIPTORS {
        return Err(Problem::limit("descriptors of one worker", MAX_DESCRIPTORS));
    }
    let mut placed = Vec::with_capacity(state.descriptors.len());
    let mut targets = std::collections::HashSet::new();
    for (position, item) in state.descriptors.iter().enumerate() {
        let field = format!("spec.state.descriptors[{position}]");
        if item.descriptor.is_none() {
            return Err(Problem::bad_request(&field, "no descriptor is named"));
        }
        if item.target > MAX_TARGET {
            return Err(Problem::bad_request(
                &field,
                format!("the target is over {MAX_TARGET}"),
            ));
        }
        if !targets.insert(item.target) {
            return Err(Problem::bad_request(
                &field,
                format!("target {} is given twice", item.target),
            ));
        }
        placed.push(assigned_state::Placed {
            index: take(index),
            target: item.target,
        });
    }
    check_env(&state.env)?;
    rlimits("spec.state.rlimits", &state.rlimits)?;
    if state.umask.is_some_and(|umask| umask > 0o777) {
        return Err(Problem::bad_request("spec.state.umask", "over 0777"));
    }
    if state.nice.is_some_and(|nice| !(-20..=19).contains(&nice)) {
        return Err(Problem::bad_request("spec.state.nice", "not in -20..=19"));
    }
    if state.affinity.iter().any(|cpu| *cpu >= MAX_CPU) {
        return Err(Problem::bad_request(
            "spec.state.affinity",
            format!("a CPU number is over {}", MAX_CPU - 1),
        ));
    }
    for (field, signals) in [
        ("spec.state.blocked_signals", &state.blocked_signals),
        ("spec.state.ignored_signals", &state.ignored_signals),
    ] {
        if signals.iter().any(|n| !(1..=MAX_SIGNAL).contains(n)) {
            return Err(Problem::bad_request(field, "not in 1..=64"));
        }
    }
    if state.controlling_terminal && !state.new_session {
        return Err(Problem::bad_request(
            "spec.state.controlling_terminal",
            "only a new session can take a terminal",
        ));
    }
    Ok(AssignedState {
        cwd,
        cwd_path: state.cwd_path,
        env: state.env,
        umask: state.umask,
        placed,
        rlimits: state.rlimits,
        nice: state.nice,
        affinity: state.affinity,
        blocked_signals: state.blocked_signals,
        ignored_signals: state.ignored_signals,
        new_session: state.new_session,
        controlling_terminal: state.controlling_terminal,
    })
}

fn check_env(env: &[EnvDirective]) -> Result<(), Problem> {
    const FIELD: &str = "spec.state.env";
    for directive in env {
        let name = match &directive.step {
            Some(env_directive::Step::Clear(_)) => continue,
            Some(env_directive::Step::Replace(block)) => {
                environment::check(block).map_err(|error| Problem::bad_request(FIELD, error))?;
                continue;
            }
            Some(env_directive::Step::Remove(name)) => name,
            Some(env_directive::Step::Set(set)) => {
                no_nul(FIELD, [&set.value])?;
                &set.name
            }
            None => return Err(Problem::bad_request(FIELD, "a directive without a step")),
        };
        no_nul(FIELD, [name])?;
        if name.is_empty() || name.contains(&b'=') {
            return Err(Problem::bad_request(
                FIELD,
                "a variable's name must not be empty nor hold an equals sign",
            ));
        }
    }
    Ok(())
}

/// Limits by number, checked.
///
/// # Errors
/// Names `field`.
pub fn rlimits(field: &str, limits: &[v1::Rlimit]) -> Result<Vec<Rlimit>, Problem> {
    limits
        .iter()
        .map(|limit| {
            if !RESOURCES.contains(&limit.resource) {
                return Err(Problem::bad_request(
                    field,
                    format!("{} is no resource", limit.resource),
                ));
            }
            if limit.soft > limit.hard {
                return Err(Problem::bad_request(
                    field,
                    format!("resource {}: soft over hard", limit.resource),
                ));
            }
            Ok(Rlimit {
                resource: limit.resource,
                soft: limit.soft,
                hard: limit.hard,
            })
        })
        .collect()
}

/// The state without what is so already.
pub(crate) fn beyond(state: &AssignedState, inherited: &Inherited) -> AssignedState {
    use env_directive::Step;
    // Whatever comes before it.
    let env = match state.env.last().and_then(|last| last.step.as_ref()) {
        Some(Step::Replace(block)) if *block == inherited.environment => Vec::new(),
        _ => state.env.clone(),
    };
    let rlimits = state.rlimits.iter();
    let rlimits = rlimits.filter(|limit| !inherited.rlimits.contains(limit));
    AssignedState {
        env,
        rlimits: rlimits.copied().collect(),
        cwd: state.cwd,
        cwd_path: state.cwd_path.clone(),
        umask: state.umask,
        placed: state.placed.clone(),
        nice: state.nice,
        affinity: state.affinity.clone(),
        blocked_signals: state.blocked_signals.clone(),
        ignored_signals: state.ignored_signals.clone(),
        new_session: state.new_session,
        controlling_terminal: state.controlling_terminal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env_directive::{Set, Step};

    fn step(step: Step) -> EnvDirective {
        EnvDirective { step: Some(step) }
    }

    #[test]
    fn what_is_inherited_is_left_out_and_nothing_else() {
        let block = b"A=1\0".to_vec();
        let limit = |resource, soft| v1::Rlimit {
            resource,
            soft,
            hard: 9,
        };
        let inherited = Inherited {
            environment: block.clone(),
            rlimits: vec![limit(1, 5), limit(2, 5)],
        };
        let replace = |block: &[u8]| step(Step::Replace(block.to_vec()));
        let set = || {
            step(Step::Set(Set {
                name: b"A".to_vec(),
                value: b"2".to_vec(),
            }))
        };
        let state = |env: Vec<EnvDirective>| AssignedState {
            env,
            rlimits: vec![limit(1, 5), limit(2, 4), limit(3, 5)],
            cwd_path: Some(b"/".to_vec()),
            umask: Some(0o77),
            nice: Some(3),
            affinity: vec![1],
            blocked_signals: vec![2],
            ignored_signals: vec![3],
            new_session: true,
            controlling_terminal: true,
            cwd: Some(1),
            placed: vec![assigned_state::Placed {
                index: 2,
                target: 4,
            }],
        };
        let left = |env| beyond(&state(env), &inherited);
        let rest = AssignedState {
            rlimits: vec![limit(2, 4), limit(3, 5)],
            ..state(Vec::new())
        };
        assert_eq!(left(vec![replace(&block)]), rest);
        assert_eq!(left(vec![set(), replace(&block)]), rest);
        for kept in [
            vec![replace(b"A=2\0")],
            vec![replace(b"")],
            vec![replace(&block), set()],
            vec![set()],
        ] {
            assert_eq!(left(kept.clone()).env, kept);
        }
    }
}
