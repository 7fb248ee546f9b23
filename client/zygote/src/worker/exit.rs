//! The end of a worker.

use super::{current, report};
use crate::panics;
use crate::registry::hook::{self, Hooks};
use mpfork_sys::exit::{Reserved, exit_now, flush_c_stdio, on_exit, reserve};
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static HOOKS: OnceLock<&'static Hooks> = OnceLock::new();
static BEFORE: OnceLock<fn()> = OnceLock::new();
static ENDING: AtomicBool = AtomicBool::new(false);

/// The code with which a Rust program ends whose main thread panicked.
const PANICKED: i32 = 101;

/// In a zygote, the place of its workers' handler.
static PLACE: OnceLock<Reserved> = OnceLock::new();

/// In a zygote, when its preloads have registered their handlers: all that its workers will have in
/// common, so that each of them has less to do.
pub(super) fn prepare(hooks: &'static Hooks) {
    let _ = HOOKS.set(hooks);
    // What a hook registers before a fork would run in the worker before its own end.
    if hooks.before_fork.is_empty()
        && let Some(place) = reserve()
    {
        let _ = PLACE.set(place);
    }
}

/// Takes the process's end over from the one it was forked from, whose exit handlers are not its own; in
/// the place that was reserved, when that was its zygote.
pub(super) fn take_over(hooks: &'static Hooks, by_zygote: bool) {
    // The same in a worker that a worker forks.
    let _ = HOOKS.set(hooks);
    // Written only where it changes: the page is shared with the zygote.
    if ENDING.load(Ordering::Acquire) {
        ENDING.store(false, Ordering::Release);
    }
    match PLACE.get() {
        Some(reserved) if by_zygote => reserved.take(at_exit),
        _ => drop(on_exit(at_exit)),
    }
}

/// Has `before` called when this process, as a worker, ends in order, before the hooks. Only the first
/// one given counts.
#[doc(hidden)]
pub fn at_end(before: fn()) {
    let _ = BEFORE.set(before);
}

/// When the worker's code, or the end of `main`, calls `exit`.
fn at_exit(code: i32) {
    // Once more, should a hook call it too.
    on_exit(at_exit);
    if code == PANICKED
        && current::goes_on_with_main()
        && let Some(panic) = panics::last_of_main()
    {
        report::panic(panic);
    }
    end(code);
}

/// Ends the worker in order: its hooks, then what is buffered.
pub(super) fn end(mut code: i32) -> ! {
    if !ENDING.swap(true, Ordering::AcqRel) {
        if let Some(before) = BEFORE.get() {
            before();
        }
        for hook in HOOKS.get().iter().flat_map(|hooks| &hooks.at_worker_exit) {
            if let Err(error) = hook::run(hook) {
                report::hook(&error);
                code = if code == 0 { 1 } else { code };
            }
        }
    }
    flush();
    exit_now(code)
}

/// Writes out what Rust's and C's standard streams have buffered.
pub(crate) fn flush() {
    // Lost with the stream, as at any program's end. Rust's standard error has no buffer.
    let _ = std::io::stdout().flush();
    flush_c_stdio();
}
