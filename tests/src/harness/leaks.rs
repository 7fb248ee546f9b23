//! This process's own descriptors: after the last of several concurrent tests there are no more than
//! before the first.

use super::{LIMIT, process, wait};
use std::sync::{Mutex, PoisonError};

static ACCOUNT: Mutex<Account> = Mutex::new(Account {
    running: 0,
    before: 0,
});

struct Account {
    running: usize,
    before: usize,
}

/// A test that runs.
#[derive(Debug)]
pub struct Running(());

/// A test begins. One that opens something before it is [`check`](super::check)ed begins there: another
/// test's end would count it, and wait for it in vain.
#[must_use]
pub fn enter() -> Running {
    let mut account = ACCOUNT.lock().unwrap_or_else(PoisonError::into_inner);
    if account.running == 0 {
        // The first runtime of a process makes what all of them share, and keeps it.
        super::block_on(async {});
        account.before = own();
    }
    account.running += 1;
    drop(account);
    Running(())
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut account = ACCOUNT.lock().unwrap_or_else(PoisonError::into_inner);
        account.running -= 1;
        if account.running > 0 || std::thread::panicking() {
            return;
        }
        // Held, so that no test begins while this one's descriptors are counted.
        let before = account.before;
        let gone = wait::within(LIMIT, || (own() <= before).then_some(()));
        drop(account);
        assert!(
            gone.is_some(),
            "{before} descriptors were open before, {} after: {:?}",
            own(),
            open()
        );
    }
}

fn own() -> usize {
    process::open_descriptors(rustix::process::getpid().as_raw_nonzero().get())
}

fn open() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    entries
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .collect()
}
