//! Bytes from and to descriptors of this process, each way in a thread: they may block, and must not be
//! made non-blocking, as others may share them.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io::PipeReader;
use std::os::fd::OwnedFd;
use std::thread;
use tokio::sync::{mpsc, oneshot};

const CHUNK: usize = 64 << 10;

/// Reads a descriptor until its end, or until `stop` hangs up.
pub(super) fn read_on_a_thread(
    from: OwnedFd,
    stop: PipeReader,
) -> std::io::Result<mpsc::Receiver<Vec<u8>>> {
    let (tell, bytes) = mpsc::channel(1);
    let thread = thread::Builder::new().name("mpfork-stdin".to_owned());
    thread.spawn(move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            let mut waited = [
                PollFd::new(&from, PollFlags::IN),
                PollFd::new(&stop, PollFlags::IN),
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
    Ok(bytes)
}

/// Where to send what is to be written, with the descriptor's place, and what ends when all of it is.
pub(super) type Writing = (mpsc::Sender<(usize, Vec<u8>)>, oneshot::Receiver<()>);

/// Writes to descriptors: one that nobody reads holds up the others, as it would hold up the worker.
pub(super) fn write_on_a_thread(mut to: [Option<OwnedFd>; 2]) -> std::io::Result<Writing> {
    let (write, mut bytes) = mpsc::channel::<(usize, Vec<u8>)>(1);
    let (done, written) = oneshot::channel();
    let thread = thread::Builder::new().name("mpfork-stdout".to_owned());
    thread.spawn(move || {
        while let Some((number, chunk)) = bytes.blocking_recv() {
            if let Some(Some(end)) = to.get(number)
                && !write_all(end, &chunk)
            {
                to[number] = None;
            }
        }
        drop(to);
        let _ = done.send(());
    })?;
    Ok((write, written))
}

/// Writes all; false when nobody reads it.
fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Somebody else has made it non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(to, PollFlags::OUT)], None);
            }
            Err(_) => return false,
        }
    }
    true
}
