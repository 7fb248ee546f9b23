//! A relay of bytes between sockets, as `socat` is one: descriptors do not pass it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A relay, until it is dropped.
#[derive(Debug)]
pub struct Relay {
    socket: PathBuf,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    connections: Mutex<Vec<(UnixStream, UnixStream)>>,
    copying: Mutex<Vec<JoinHandle<()>>>,
}

impl Relay {
    /// Relays from a new socket in this folder.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn new(folder: &Path, to: &Path) -> Self {
        let socket = folder.join("relay.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::<Shared>::default();
        let (accepted, to) = (Arc::clone(&shared), to.to_owned());
        let accepting = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if accepted.over.load(Ordering::SeqCst) {
                    return;
                }
                accepted.relay(connection.unwrap(), &to);
            }
        });
        Self {
            socket,
            shared,
            accepting: Some(accepting),
        }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Breaks every connection.
    ///
    /// # Panics
    /// Never, but for a bug in it.
    pub fn cut(&self) {
        for (near, far) in self.shared.connections.lock().unwrap().drain(..) {
            let _ = near.shutdown(Shutdown::Both);
            let _ = far.shutdown(Shutdown::Both);
        }
        for copying in self.shared.copying.lock().unwrap().drain(..) {
            copying.join().unwrap();
        }
    }
}

impl Shared {
    fn relay(&self, near: UnixStream, to: &Path) {
        let short = super::programs::short(to);
        // Where nobody is, whoever connected is told by the end.
        let Ok(far) = UnixStream::connect(short.path()) else {
            return;
        };
        let mut copying = self.copying.lock().unwrap();
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            copying.push(std::thread::spawn(move || copy(&from, &to)));
        }
        drop(copying);
        self.connections.lock().unwrap().push((near, far));
    }
}

/// Bytes only; what comes with them is lost.
fn copy(mut from: &UnixStream, mut to: &UnixStream) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 {
            break;
        }
        if to.write_all(&bytes[..count]).is_err() {
            // Whoever writes there must learn that nobody takes it.
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(&self.socket));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.cut();
        let _ = std::fs::remove_file(&self.socket);
    }
}
