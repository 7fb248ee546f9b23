//! The end of a worker: C's buffers, and exit handlers that must not run in a forked child.

use std::sync::atomic::{AtomicPtr, Ordering};

/// Writes out the buffers of C's standard streams.
pub fn flush_c_stdio() {
    // SAFETY: a null stream means all streams; the C library locks each.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Ends the process at once, without handlers and without flushing.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no requirements and does not return.
    unsafe { libc::_exit(code) }
}

/// Has `handler` called when the process ends by `exit`, before the handlers registered earlier. A
/// forked child has it too. Returns false when the C library can't.
///
/// It must not panic, and finds the thread's locals gone.
pub fn at_exit(handler: extern "C" fn()) -> bool {
    // SAFETY: the function takes nothing and, being one of the program's, lives as long as it.
    unsafe { libc::atexit(handler) == 0 }
}

/// What [`on_exit`] calls, with the exit code.
pub type Handler = fn(i32);

static HANDLER: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn call_handler(code: libc::c_int, _argument: *mut libc::c_void) {
    let handler = HANDLER.load(Ordering::Acquire);
    // A place may be reserved that nobody has taken.
    if !handler.is_null() {
        // SAFETY: only `set` stores to HANDLER, and only a `Handler`.
        let handler = unsafe { std::mem::transmute::<*mut (), Handler>(handler) };
        handler(code);
        exit_now(code);
    }
}

/// Has `handler` called with the exit code when the process ends by `exit`, after the handlers
/// registered later and *instead of* those registered before: the process then ends at once.
///
/// Returns false where the C library offers no such thing; the handlers registered before then run,
/// and `handler` does not.
pub fn on_exit(handler: Handler) -> bool {
    set(handler);
    register()
}

fn set(handler: Handler) {
    HANDLER.store(handler as *mut (), Ordering::Release);
}

/// The place that a handler has among those of a process and its children.
#[derive(Debug, Clone, Copy)]
pub struct Reserved(());

/// Reserves the place that [`on_exit`] would have now, for children: registering costs each of them
/// several pages. Until somebody takes it nothing happens there. `None` where the C library offers no
/// such thing.
pub fn reserve() -> Option<Reserved> {
    register().then_some(Reserved(()))
}

impl Reserved {
    /// As [`on_exit`], as if called when the place was reserved.
    pub fn take(self, handler: Handler) {
        set(handler);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn register() -> bool {
    unsafe extern "C" {
        fn on_exit(
            function: extern "C" fn(libc::c_int, *mut libc::c_void),
            argument: *mut libc::c_void,
        ) -> libc::c_int;
    }
    // SAFETY: the function is static and does not use its argument.
    unsafe { on_exit(call_handler, std::ptr::null_mut()) == 0 }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn register() -> bool {
    let _ = call_handler;
    false
}
