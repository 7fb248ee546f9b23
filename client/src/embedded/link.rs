//! The owner's end of a link. Any number of callers in any number of runtimes wait on it at once: each
//! reads what there is for all, so that none depends on another's being driven.

use mpfork_proto::frame::{self, FrameBuffer};
use mpfork_proto::link::{SupervisorFrame, ZygoteFrame, supervisor_frame, zygote_frame};
use mpfork_sys::fdpass::{self, CONGESTION_LIMIT, CONGESTION_PAUSE};
use mpfork_sys::reactor::{Readable, Writable};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// How much is read at once.
const CHUNK_BYTES: usize = 4 << 10;

/// A frame with its descriptor.
pub(super) type Frame = (zygote_frame::Frame, Option<OwnedFd>);

#[derive(Debug)]
pub(super) struct Link {
    socket: OwnedFd,
    incoming: Mutex<Incoming>,
    /// Held by who is writing a frame.
    outgoing: tokio::sync::Mutex<()>,
    put_off: Mutex<Option<Instant>>,
    /// Read, but not asked for yet, before workers are made.
    early: Mutex<VecDeque<zygote_frame::Frame>>,
    /// Told when something has been read.
    news: Notify,
}

#[derive(Debug, Default)]
struct Incoming {
    buffer: FrameBuffer,
    /// Those that came and are not claimed yet; one that found no free number is missed.
    descriptors: VecDeque<Option<OwnedFd>>,
    /// Numbers for those that are to come.
    reserved: Vec<OwnedFd>,
    /// Why nothing more comes.
    ended: Option<String>,
}

impl Link {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: socket.into(),
            incoming: Mutex::default(),
            outgoing: tokio::sync::Mutex::default(),
            put_off: Mutex::default(),
            early: Mutex::default(),
            news: Notify::new(),
        })
    }

    fn incoming(&self) -> MutexGuard<'_, Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing more comes, once that is so.
    pub(super) fn ended(&self) -> Option<String> {
        self.incoming().ended.clone()
    }

    /// Ends it, for the other end too.
    pub(super) fn close(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// Whether the other end is closed, without reading.
    pub(super) fn hung_up(&self) -> bool {
        let mut polled = [PollFd::new(&self.socket, PollFlags::empty())];
        let ready = rustix::io::retry_on_intr(|| poll(&mut polled, Some(&Timespec::default())));
        ready.is_ok() && polled[0].revents().contains(PollFlags::HUP)
    }

    /// When a frame was last put off, as the user has too many descriptors in flight.
    pub(super) fn put_off(&self) -> Option<Instant> {
        *self.put_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_put_off(&self) {
        *self.put_off.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Sends a frame; waits while the user has too many descriptors in flight, but not for ever. Once begun it
    /// is sent whole, or the link is of no more use.
    pub(super) async fn send(
        &self,
        frame: supervisor_frame::Frame,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let frame = SupervisorFrame {
            // A handful, which go with the first byte.
            descriptors: u32::try_from(descriptors.len()).unwrap_or(u32::MAX),
            frame: Some(frame),
        };
        let bytes = frame::encode(&frame).map_err(io::Error::other)?;
        let (_alone, mut sent) = self.begin(&bytes, descriptors).await?;
        let mut unfinished = Unfinished(Some(self));
        while sent < bytes.len() {
            match fdpass::send(self.socket.as_fd(), &bytes[sent..], &[]) {
                Ok((count, _)) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Writable::of(self.socket.as_fd())?.ready().await?;
                }
                Err(error) => return Err(error),
            }
        }
        unfinished.0 = None;
        Ok(())
    }

    /// Sends as much as goes at once. Until then nobody else is held up: whoever waits here may not be polled
    /// any more.
    async fn begin(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<(tokio::sync::MutexGuard<'_, ()>, usize)> {
        let mut since = None;
        loop {
            let alone = self.outgoing.lock().await;
            match fdpass::send(self.socket.as_fd(), bytes, descriptors) {
                Ok((sent, _)) => return Ok((alone, sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    drop(alone);
                    since = None;
                    // It is full of what the zygote has not read: it may be stopped.
                    Writable::of(self.socket.as_fd())?.ready().await?;
                }
                Err(error)
                    if fdpass::is_congested(&error)
                        && since.get_or_insert_with(Instant::now).elapsed() < CONGESTION_LIMIT =>
                {
                    drop(alone);
                    self.note_put_off();
                    tokio::time::sleep(CONGESTION_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what there is, and hands each frame over.
    fn fill(&self, mut deliver: impl FnMut(Frame)) -> io::Result<()> {
        let mut bytes = [0; CHUNK_BYTES];
        let mut arrived = Vec::new();
        let mut incoming = self.incoming();
        if incoming.ended.is_some() {
            return Ok(());
        }
        let given_up = incoming.reserved.pop();
        let kept = given_up.is_some();
        drop(given_up);
        let received = fdpass::receive_some(self.socket.as_fd(), &mut bytes, &mut arrived);
        if kept && arrived.is_empty() {
            // Should it be another's by now, the next descriptor may be missed.
            incoming.reserved.extend(self.socket.try_clone().ok());
        }
        incoming.descriptors.extend(arrived.into_iter().map(Some));
        match received {
            Ok((0, _)) => incoming.ended = Some("it closed its link".to_owned()),
            Ok((count, lost)) => {
                // With each message comes one at most.
                incoming.descriptors.extend(lost.then_some(None));
                incoming.buffer.extend(&bytes[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => incoming.ended = Some(error.to_string()),
        }
        loop {
            match incoming.buffer.take::<ZygoteFrame>() {
                Ok(Some(ZygoteFrame {
                    descriptors,
                    frame: Some(frame),
                })) => {
                    // A frame carries one at most.
                    let descriptor = match descriptors {
                        0 => None,
                        _ => incoming.descriptors.pop_front().flatten(),
                    };
                    deliver((frame, descriptor));
                }
                // A frame of a later version.
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    incoming.ended = Some(error.to_string());
                    break;
                }
            }
        }
        drop(incoming);
        self.news.notify_waiters();
        Ok(())
    }

    /// Holds a number for a descriptor that is to come, until [`Self::expect`] says otherwise.
    pub(super) fn reserve(&self) -> io::Result<()> {
        let number = self.socket.try_clone()?;
        self.incoming().reserved.push(number);
        Ok(())
    }

    /// So many descriptors may still come.
    pub(super) fn expect(&self, most: usize) {
        self.incoming().reserved.truncate(most);
    }

    /// Reads all there is without waiting.
    pub(super) fn drain(&self, mut deliver: impl FnMut(Frame)) {
        while self.ended().is_none() && self.fill(&mut deliver).is_ok() {}
    }

    /// Waits for the next frame, for whoever is alone on the link; `None` at its end.
    pub(super) async fn next(&self) -> io::Result<Option<zygote_frame::Frame>> {
        let early = || self.early.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = |(frame, _)| early().push_back(frame);
        let next = || match early().pop_front() {
            Some(frame) => Some(Some(frame)),
            None => self.ended().map(|_| None),
        };
        self.until(keep, next).await
    }

    /// Waits until `check` has an answer, which it may have once something was delivered or the link has
    /// ended.
    pub(super) async fn until<T>(
        &self,
        mut deliver: impl FnMut(Frame),
        mut check: impl FnMut() -> Option<T>,
    ) -> io::Result<T> {
        let mut readable = None;
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // Whatever is told from here on wakes this.
            news.as_mut().enable();
            if let Some(answer) = check() {
                return Ok(answer);
            }
            let readable = match &readable {
                Some(readable) => readable,
                // By a descriptor of its own: a runtime takes each once.
                None => readable.insert(Readable::new(self.socket.try_clone()?)?),
            };
            let filled = poll_fn(|cx| readable.poll_read(cx, |_| self.fill(&mut deliver)));
            tokio::select! {
                filled = filled => filled?,
                () = news => {}
            }
        }
    }
}

/// A frame of which a part may have been sent.
struct Unfinished<'a>(Option<&'a Link>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.0 {
            link.incoming().ended = Some("a request was broken off".to_owned());
            link.close();
        }
    }
}
