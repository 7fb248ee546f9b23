//! Resource limits of a worker.

use mpfork_proto::v1;
use mpfork_sys::limits::{self, NOFILE, Rlimit};
use std::sync::OnceLock;

/// The limits of the zygote, read once: a worker has the same until it changes them.
static INHERITED: OnceLock<Vec<Rlimit>> = OnceLock::new();

/// Reads the limits that workers are going to inherit, but that of open files.
pub(super) fn remember() -> &'static [Rlimit] {
    let read = || {
        let known = limits::RESOURCES.filter(|resource| *resource != NOFILE);
        known
            .filter_map(|resource| limits::get(resource).ok())
            .collect()
    };
    INHERITED.get_or_init(read)
}

fn current(resource: u32) -> std::io::Result<Rlimit> {
    let inherited = INHERITED.get().into_iter().flatten();
    match inherited.copied().find(|limit| limit.resource == resource) {
        Some(limit) => Ok(limit),
        None => limits::get(resource),
    }
}

/// Raises the limit of open files if it is to be raised, before descriptors get their numbers.
pub(super) fn raise_files(asked: &[v1::Rlimit]) {
    for asked in asked.iter().filter(|asked| asked.resource == NOFILE) {
        if limits::get(NOFILE).is_ok_and(|now| asked.soft > now.soft) {
            // What can't be done is told by the second attempt.
            let _ = set(asked);
        }
    }
}

/// Sets all limits, that of open files last; tells what could not be done.
pub(super) fn set_all(asked: &[v1::Rlimit]) -> Vec<String> {
    let (files, others): (Vec<_>, Vec<_>) =
        asked.iter().partition(|asked| asked.resource == NOFILE);
    others
        .into_iter()
        .chain(files)
        .filter_map(|asked| set(asked).err())
        .collect()
}

fn set(asked: &v1::Rlimit) -> Result<(), String> {
    let wanted = Rlimit {
        resource: asked.resource,
        soft: asked.soft,
        hard: asked.hard,
    };
    let not_applied = |error: &dyn std::fmt::Display| {
        format!(
            "limit {} to {}:{}: {error}",
            wanted.resource,
            shown(wanted.soft),
            shown(wanted.hard)
        )
    };
    let now = current(wanted.resource).map_err(|error| not_applied(&error))?;
    if now == wanted {
        return Ok(());
    }
    let Err(error) = limits::set(0, wanted) else {
        return Ok(());
    };
    if wanted.hard > now.hard && wanted.soft <= wanted.hard {
        // A hard limit can't be raised again: as near as can be.
        let nearest = Rlimit {
            soft: wanted.soft.min(now.hard),
            hard: now.hard,
            ..wanted
        };
        if limits::set(0, nearest).is_ok() {
            let is = format!("it is {}:{}", shown(nearest.soft), shown(nearest.hard));
            return Err(not_applied(&format_args!("{error}; {is}")));
        }
    }
    Err(not_applied(&error))
}

fn shown(limit: u64) -> String {
    if limit == u64::MAX {
        "unlimited".to_owned()
    } else {
        limit.to_string()
    }
}
