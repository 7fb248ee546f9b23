//! Descriptors that come with a function's argument and go with its result.
//!
//! An entry takes and returns bytes. What these name waits here: for whoever decodes the argument, and for
//! the worker once the result is encoded. A worker runs one function; in any other process nothing is ever
//! here.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static ARRIVED: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());
static LEAVING: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());
/// Whether there ever were any.
static ANY: AtomicBool = AtomicBool::new(false);

fn replace(place: &Mutex<Vec<OwnedFd>>, descriptors: Vec<OwnedFd>) -> Vec<OwnedFd> {
    // To note that there still is nothing would copy a page that is shared with the zygote.
    if descriptors.is_empty() && !ANY.load(Ordering::Acquire) {
        return descriptors;
    }
    ANY.store(true, Ordering::Release);
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut place, descriptors)
}

/// These came with the argument of the function that is called next.
pub(crate) fn arrive(descriptors: Vec<OwnedFd>) {
    replace(&ARRIVED, descriptors);
}

/// Takes what came with the argument.
#[must_use]
pub fn arrived() -> Vec<OwnedFd> {
    replace(&ARRIVED, Vec::new())
}

/// These go with the result that is returned next.
pub fn leave(descriptors: Vec<OwnedFd>) {
    replace(&LEAVING, descriptors);
}

/// Takes what goes with the result.
pub(crate) fn leaving() -> Vec<OwnedFd> {
    replace(&LEAVING, Vec::new())
}
