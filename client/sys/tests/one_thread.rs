//! What a process of one thread reads of itself by other means than one of many, and what it reads then. A
//! program of its own, as a test harness has threads.

use mpfork_sys::own_process::{set_umask, umask};
use mpfork_sys::threads::is_single;
use nix::sys::signal::{SigSet, Signal};
use std::sync::mpsc;

#[cfg(target_os = "linux")]
mod filter;

fn mask_is(mask: u32) {
    if !cfg!(target_os = "linux") {
        return assert_eq!(umask(), None);
    }
    // Twice: what is read is left as it was.
    for _ in 0..2 {
        assert_eq!(umask(), Some(mask));
    }
}

fn main() {
    // As the test harness answers it.
    if std::env::args().any(|arg| arg == "--list") {
        println!("one_thread: test");
        return;
    }
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGUSR1);
    blocked.thread_set_mask().expect("a signal can be blocked");
    assert!(is_single());
    for mask in [0, 0o027, 0o777] {
        set_umask(mask);
        mask_is(mask);
    }
    let (end, ended) = mpsc::channel::<()>();
    let other = std::thread::spawn(move || ended.recv());
    assert!(!is_single());
    mask_is(0o777);
    drop(end);
    assert!(other.join().is_ok_and(|told| told.is_err()));
    let left = SigSet::thread_get_mask().expect("a thread has a mask");
    assert_eq!(left, blocked, "what was blocked meanwhile is not any more");
    #[cfg(target_os = "linux")]
    for call in [libc::SYS_umask, libc::SYS_unshare] {
        filter::refuse(call);
        assert!(is_single());
        mask_is(0o777);
    }
}
