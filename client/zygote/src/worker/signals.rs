//! Signals of a worker.

use super::StartError;
use mpfork_sys::signals;

/// The dispositions of a command: default, except those its client ignores. Handlers are no concern:
/// they end with the execution. Tells what could not be done.
pub(super) fn set_dispositions(ignored: &[u32]) -> Vec<String> {
    let mut not_applied = Vec::new();
    for signal in 1..=signals::HIGHEST {
        let wanted = ignored.contains(&signal.unsigned_abs());
        if wanted != signals::is_ignored(signal)
            && let Err(error) = signals::set_by_number(signal, wanted)
        {
            not_applied.push(format!("ignoring signal {signal}: {error}"));
        }
    }
    let beyond = signals::HIGHEST.unsigned_abs();
    for signal in ignored.iter().filter(|&&n| n == 0 || n > beyond).take(64) {
        not_applied.push(format!("ignoring signal {signal}: there is no such signal"));
    }
    not_applied
}

/// Ignores what the client of a `main` ignores, as if it had executed the program. What the runtime or a
/// preload has changed stays so, as it would have been changed there too.
pub(super) fn ignore(ignored: &[u32]) -> Vec<String> {
    let mut not_applied = Vec::new();
    for signal in 1..=signals::HIGHEST {
        if ignored.contains(&signal.unsigned_abs())
            && signals::is_default(signal)
            && let Err(error) = signals::set_by_number(signal, true)
        {
            not_applied.push(format!("ignoring signal {signal}: {error}"));
        }
    }
    not_applied
}

/// Blocks exactly these signals; tells which can't be blocked.
pub(super) fn set_mask(blocked: &[u32]) -> Result<Vec<String>, StartError> {
    let numbers: Vec<i32> = blocked
        .iter()
        .map(|signal| i32::try_from(*signal).unwrap_or(0))
        .collect();
    let refused =
        signals::set_mask(&numbers).map_err(|error| StartError::system("signal mask", error))?;
    Ok(refused
        .into_iter()
        .take(64)
        .map(|signal| format!("blocking signal {signal}: it can't be blocked"))
        .collect())
}
