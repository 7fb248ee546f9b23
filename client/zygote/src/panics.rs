//! What a panic tells: its message, place and thread, seen by a hook that runs after the one it
//! found, so that the usual message is printed as ever.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic that happened.
#[derive(Debug, Clone)]
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// The main thread's last panic, for when its own variables are gone.
static LAST_OF_MAIN: Mutex<Option<Panic>> = Mutex::new(None);

type Teller = Box<dyn Fn(&Panic) + Send>;

/// Who is told of a panic that will abort the process.
static TELLER: Mutex<Option<Teller>> = Mutex::new(None);

/// Adds the hook. In zygotes and workers only: an ordinary program keeps its own.
///
/// To be called again before code of the program that matters: preloads may have set hooks of their
/// own, which then print and are followed by ours.
pub(crate) fn install() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        previous(info);
        record(info);
    }));
}

/// Names who is told at once of panics when they abort the process, as under `panic = "abort"`.
pub(crate) fn tell(teller: impl Fn(&Panic) + Send + 'static) {
    if cfg!(panic = "abort") {
        *lock(&TELLER) = Some(Box::new(teller));
    }
}

/// Nobody is told any more.
#[cfg(unix)]
pub(crate) fn tell_nobody() {
    if cfg!(panic = "abort") {
        lock(&TELLER).take();
    }
}

fn record(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    let mut message = text(info.payload());
    let main = mpfork_sys::threads::is_main();
    if !main {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("<unnamed>");
        message.push_str(&format!(" (in thread `{name}`)"));
    }
    // Installed twice, the hook sees a panic twice.
    let seen = LAST.try_with(|last| {
        last.try_borrow().is_ok_and(|last| {
            last.as_ref()
                .is_some_and(|last| last.location == location && last.message == message)
        })
    });
    if seen.unwrap_or(true) {
        return;
    }
    let panic = Panic {
        message,
        location,
        backtrace: backtrace(),
    };
    if main {
        *lock(&LAST_OF_MAIN) = Some(panic.clone());
    }
    if cfg!(panic = "abort") {
        let teller = lock(&TELLER);
        if let Some(teller) = teller.as_ref() {
            teller(&panic);
        }
    }
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = Some(panic);
        }
    });
}

/// A worker's environment is not the one the standard library has looked at: so we look.
fn backtrace() -> Option<String> {
    let wanted = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    wanted.then(|| Backtrace::force_capture().to_string())
}

fn text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is no text".to_owned()
    }
}

/// Forgets an earlier panic of this thread.
pub(crate) fn forget() {
    let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| last.take()));
}

/// What the hook has seen of this thread's last panic.
fn last() -> Option<Panic> {
    LAST.try_with(|last| last.try_borrow_mut().ok().and_then(|mut last| last.take()))
        .ok()
        .flatten()
}

/// The main thread's last panic, to the end of the process.
pub(crate) fn last_of_main() -> Option<Panic> {
    lock(&LAST_OF_MAIN).take()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a panic that was caught.
pub(crate) fn take(payload: Box<dyn Any + Send>) -> Panic {
    let panic = last().unwrap_or_else(|| Panic {
        message: text(payload.as_ref()),
        location: None,
        backtrace: None,
    });
    // Dropping a payload may panic, and nobody needs its memory back.
    std::mem::forget(payload);
    panic
}
