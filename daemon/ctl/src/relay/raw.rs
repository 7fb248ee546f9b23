//! The modes of the terminal on standard input: raw while a worker uses it, and what they were at
//! every other time. There is one such terminal to a process.

use nix::unistd::{getpgrp, tcgetpgrp};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// What the modes were, while they are raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the terminal raw, unless it is already or belongs to another job. True when it did.
pub(crate) fn enter() -> bool {
    restore_on_panic();
    let terminal = rustix::stdio::stdin();
    let mut before = before();
    if before.is_some() || is_background() {
        return false;
    }
    let Ok(modes) = tcgetattr(terminal) else {
        // It hung up.
        return false;
    };
    let mut raw = modes.clone();
    raw.make_raw();
    let set = rustix::io::retry_on_intr(|| tcsetattr(terminal, OptionalActions::Now, &raw));
    *before = Some(modes);
    drop(before);
    if set.is_err() {
        leave();
    }
    set.is_ok()
}

/// Restores the modes. Those of a terminal that belongs to another job by now are that job's.
pub(crate) fn leave() {
    let Some(modes) = before().take() else {
        return;
    };
    if !is_background() {
        let terminal = rustix::stdio::stdin();
        // When this fails the terminal is gone.
        let _ = rustix::io::retry_on_intr(|| tcsetattr(terminal, OptionalActions::Now, &modes));
    }
}

/// Whether the terminal is raw now.
pub(crate) fn is_on() -> bool {
    before().is_some()
}

/// Whether another job has the terminal: changing its modes would stop this process. One that is not
/// the controlling terminal has no jobs.
pub(crate) fn is_background() -> bool {
    tcgetpgrp(rustix::stdio::stdin()).is_ok_and(|group| group != getpgrp())
}

/// Restores the modes before a panic's message is printed.
fn restore_on_panic() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave();
            previous(info);
        }));
    });
}
