//! Bytes from and to descriptors of this process, each way in a thread: they may block, and must not be
//! made non-blocking, as others may share them.

use super::latch::{Release, latch};
use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use tokio::sync::{mpsc, oneshot, watch};

const CHUNK: usize = 64 << 10;

/// A thread that reads a descriptor, once it is given one.
pub(super) struct Reading {
    /// Where to give it.
    pub(super) from: oneshot::Sender<OwnedFd>,
    /// What it reads, until the end.
    pub(super) bytes: mpsc::Receiver<Vec<u8>>,
    /// Ends the thread when it is dropped.
    pub(super) stop: Release,
}

/// Makes a thread that reads a descriptor until its end.
pub(super) fn read_on_a_thread() -> io::Result<Reading> {
    let (give, given) = oneshot::channel();
    let (tell, bytes) = mpsc::channel(1);
    let (stopped, stop) = latch()?;
    let thread = thread::Builder::new().name("mpfork-stdin".to_owned());
    thread.spawn(move || {
        let Ok(from) = given.blocking_recv() else {
            return;
        };
        let mut buffer = vec![0; CHUNK];
        loop {
            let mut waited = [
                PollFd::new(&from, PollFlags::IN),
                PollFd::new(&stopped, PollFlags::IN),
            ];
            match poll(&mut waited, None) {
                Err(Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) if !waited[1].revents().is_empty() => return,
                Ok(_) => {}
            }
            match rustix::io::read(&from, &mut buffer) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    if tell.blocking_send(buffer[..count].to_vec()).is_err() {
                        return;
                    }
                }
            }
        }
    })?;
    Ok(Reading {
        from: give,
        bytes,
        stop,
    })
}

/// A thread that writes.
pub(super) struct Writing {
    /// Where to send what is to be written, with the descriptor's place.
    pub(super) write: mpsc::Sender<(usize, Vec<u8>)>,
    /// Ends when all of it is.
    pub(super) written: oneshot::Receiver<()>,
    /// The last that went wrong.
    pub(super) failed: watch::Receiver<Option<Errno>>,
}

/// Writes to descriptors: one that nobody reads holds up the others, as it would hold up the worker.
pub(super) fn write_on_a_thread(mut to: [Option<OwnedFd>; 2]) -> io::Result<Writing> {
    let (write, mut bytes) = mpsc::channel::<(usize, Vec<u8>)>(1);
    let (done, written) = oneshot::channel();
    let (tell, failed) = watch::channel(None);
    // Nothing to write to, nothing to do it; what comes is dropped.
    if to.iter().all(Option::is_none) {
        return Ok(Writing {
            write,
            written,
            failed,
        });
    }
    let thread = thread::Builder::new().name("mpfork-stdout".to_owned());
    thread.spawn(move || {
        // It would end the whole program, which did not write this. What is pending ends with the
        // thread.
        let mut pipe = SigSet::empty();
        pipe.add(Signal::SIGPIPE);
        // Refused only for what is no set of signals.
        let _ = pipe.thread_block();
        while let Some((number, chunk)) = bytes.blocking_recv() {
            if let Some(Some(end)) = to.get(number)
                && let Err(error) = write_all(end, &chunk)
            {
                to[number] = None;
                tell.send_replace(Some(error));
            }
        }
        drop(to);
        let _ = done.send(());
    })?;
    Ok(Writing {
        write,
        written,
        failed,
    })
}

/// Writes all.
fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Somebody else has made it non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(to, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
