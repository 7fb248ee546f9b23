//! Bytes between two terminals, each direction in a thread of its own: neither waits for the other,
//! and neither terminal's description is made non-blocking, which other processes would notice.

use nix::sys::termios::tcgetsid;
use nix::unistd::{Pid, tcgetpgrp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::termios::{LocalModes, SpecialCodeIndex, Termios, tcgetattr};
use std::io::PipeReader;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::sync::mpsc::UnboundedSender;

const CHUNK: usize = 16 << 10;
/// How long a terminal that others hold open stays silent before it counts as empty, once the worker
/// has ended.
const SILENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// More than a terminal holds: what comes beyond was written after the worker's end.
const HELD: usize = 256 << 10;

/// From the worker's terminal to the screen.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) master: Arc<OwnedFd>,
    pub(super) to: OwnedFd,
    /// Ends with the worker.
    pub(super) ended: PipeReader,
}

impl Output {
    pub(super) fn run(self) {
        let mut buffer = [0; CHUNK];
        let mut shown = true;
        // How much may still come, once the worker has ended.
        let mut left = None;
        loop {
            let mut waited = vec![PollFd::new(&self.master, PollFlags::IN)];
            if left.is_none() {
                waited.push(PollFd::new(&self.ended, PollFlags::IN));
            }
            let ready = poll(&mut waited, left.map(|_| &SILENCE));
            let event = |index: usize| waited.get(index).is_some_and(|w| !w.revents().is_empty());
            match ready {
                Err(Errno::INTR) => continue,
                Err(_) | Ok(0) => return,
                Ok(_) => {}
            }
            if event(1) {
                left = Some(HELD);
            }
            if !event(0) {
                continue;
            }
            match read(&self.master, &mut buffer) {
                // The last holder of the other side has closed it.
                Ok(0) | Err(Errno::IO) => return,
                Err(_) => {}
                Ok(count) => {
                    // A screen that is gone must not hold the worker up.
                    shown = shown && write_all(&self.to, &buffer[..count]);
                    if let Some(left) = &mut left {
                        *left = left.saturating_sub(count);
                        if *left == 0 {
                            return;
                        }
                    }
                }
            }
        }
    }
}

/// From the keyboard to the worker's terminal.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) master: Arc<OwnedFd>,
    /// Ends with the worker.
    pub(super) ended: PipeReader,
    /// Told when ^Z is typed.
    pub(super) suspend: UnboundedSender<()>,
    /// After which this is waited for: until then input is for somebody else.
    pub(super) going_on: Receiver<()>,
}

impl Input {
    pub(super) fn run(self) {
        let keyboard = rustix::stdio::stdin();
        let mut buffer = [0; CHUNK];
        loop {
            let mut waited = [
                PollFd::new(&keyboard, PollFlags::IN),
                PollFd::new(&self.ended, PollFlags::IN),
            ];
            match poll(&mut waited, None) {
                Err(Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
            if !waited[1].revents().is_empty() {
                return;
            }
            match read(keyboard, &mut buffer) {
                Ok(0) | Err(Errno::IO) => return self.end_of_input(),
                Err(_) => {}
                Ok(count) => {
                    if !self.relay(&buffer[..count]) {
                        return;
                    }
                }
            }
        }
    }

    /// Hands bytes over, but for ^Z where it would stop the worker: the kernel stops no group that is
    /// alone in its session.
    fn relay(&self, mut bytes: &[u8]) -> bool {
        while let Some(at) = self.suspends_at(bytes) {
            if !write_all(&self.master, &bytes[..at]) {
                return false;
            }
            bytes = &bytes[at + 1..];
            while self.going_on.try_recv().is_ok() {}
            if self.suspend.send(()).is_err() || self.going_on.recv().is_err() {
                return false;
            }
        }
        write_all(&self.master, bytes)
    }

    fn suspends_at(&self, bytes: &[u8]) -> Option<usize> {
        let modes = tcgetattr(&self.master).ok()?;
        let at = suspend_character_at(&modes, bytes)?;
        // Another group in front has a shell in the session that looks after it.
        let leader = tcgetsid(&self.master).ok()?;
        let front = tcgetpgrp(&self.master).ok()?;
        (front == leader && !ignores_tstp(leader)).then_some(at)
    }

    /// What a hung up keyboard is to the worker: the end of its input.
    fn end_of_input(&self) {
        if let Ok(modes) = tcgetattr(&self.master)
            && modes.local_modes.contains(LocalModes::ICANON)
        {
            write_all(&self.master, &[modes.special_codes[SpecialCodeIndex::VEOF]]);
        }
    }
}

fn suspend_character_at(modes: &Termios, bytes: &[u8]) -> Option<usize> {
    let character = modes.special_codes[SpecialCodeIndex::VSUSP];
    let acts = modes.local_modes.contains(LocalModes::ISIG) && character != 0;
    let at = bytes.iter().position(|byte| *byte == character)?;
    acts.then_some(at)
}

/// Whether a process ignores SIGTSTP, as shells do; where the system tells.
fn ignores_tstp(pid: Pid) -> bool {
    let signal = nix::sys::signal::Signal::SIGTSTP as i32;
    mpfork_sys::processes::ignores(pid.as_raw(), signal).unwrap_or(false)
}

/// Writes all; false when the other side is gone.
fn write_all(to: impl AsFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match write(&to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Somebody else has made it non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(_) => return false,
        }
    }
    true
}
