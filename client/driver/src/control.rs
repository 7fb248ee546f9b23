//! The supervisor's end of a worker's own socket: the assignment goes in, reports come out.

use mpfork_proto::frame::{self, FrameBuffer, FrameError};
use mpfork_proto::link::{
    Applied, Assignment, ExecFailed, StartFailed, WorkerReport, worker_report,
};
use mpfork_proto::v1::Failure;
use mpfork_sys::fdpass::{self, CONGESTION_PAUSE};
use mpfork_sys::reactor::{Readable, Writable};
use rustix::net::sockopt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// The most bytes of reports read from one worker.
const MOST: usize = 1 << 20;

/// What a worker has reported so far.
#[derive(Debug, Default)]
pub struct Reports {
    /// Its start state is applied.
    pub applied: Option<Applied>,
    /// Its program could not be executed.
    pub exec_failed: Option<ExecFailed>,
    /// Its start state could not be applied.
    pub start_failed: Option<StartFailed>,
    /// Its function failed.
    pub failure: Option<Failure>,
    /// The worker's end is closed: it has executed a program, or ended.
    pub closed: bool,
}

impl Reports {
    /// Whether the worker has said anything, or will not.
    pub fn tell_something(&self) -> bool {
        self.closed || self.applied.is_some() || self.start_failed.is_some()
    }

    /// Whether it is known how the worker began: of a command by the end of its socket, as that is when
    /// it is executed.
    pub fn tell_beginning(&self, command: bool) -> bool {
        self.closed
            || self.exec_failed.is_some()
            || self.start_failed.is_some()
            || (self.applied.is_some() && !command)
    }

    fn add(&mut self, report: WorkerReport) {
        match report.report {
            Some(worker_report::Report::Applied(applied)) => self.applied = Some(applied),
            Some(worker_report::Report::ExecFailed(failed)) => self.exec_failed = Some(failed),
            Some(worker_report::Report::StartFailed(failed)) => self.start_failed = Some(failed),
            Some(worker_report::Report::Failure(failure)) => self.failure = Some(failure),
            None => {}
        }
    }
}

/// What a worker reported before it began.
#[derive(Debug, Default)]
pub struct FirstReports {
    /// Its start state is applied.
    pub applied: bool,
    /// Its program could not be executed.
    pub exec_failed: Option<ExecFailed>,
    /// Its start state could not be applied.
    pub start_failed: Option<StartFailed>,
}

/// A worker's own socket.
#[derive(Debug)]
pub struct Control {
    socket: Arc<OwnedFd>,
    /// Until it is known how the worker began. What it says later is read after its end, and its end, which
    /// closes the socket, need not be told by it too.
    awaited: Option<Readable>,
    /// What the socket did not take of the assignment.
    rest: Vec<u8>,
    /// Of a part of the assignment it is not known whether it was taken.
    undelivered: Arc<AtomicBool>,
    /// What was read of reports that are not whole yet.
    incoming: FrameBuffer,
    /// What it has reported.
    pub reports: Reports,
}

/// Why an assignment could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum AssignError {
    #[error(transparent)]
    /// The system refused.
    Io(#[from] io::Error),
    #[error(transparent)]
    /// It is too large.
    Frame(#[from] FrameError),
}

/// Tries again while the user has too many descriptors in flight, for at most this time.
///
/// # Errors
/// Of the last try.
pub async fn while_congested<T>(
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, AssignError>,
) -> Result<T, AssignError> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(AssignError::Io(error))
                if fdpass::is_congested(&error) && begun.elapsed() < limit =>
            {
                tokio::time::sleep(CONGESTION_PAUSE).await;
            }
            done => return done,
        }
    }
}

impl Control {
    /// Makes the socket; returns the worker's end too.
    ///
    /// # Errors
    /// When there are no free descriptors.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = Self::sockets()?;
        Ok((Self::of(ours)?, theirs))
    }

    /// Both ends of a worker's own socket: for who has no runtime yet.
    ///
    /// # Errors
    /// When there are no free descriptors.
    pub fn sockets() -> io::Result<(UnixStream, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((ours, theirs.into()))
    }

    /// The supervisor's end, in the runtime of the caller.
    ///
    /// # Errors
    /// When the system can't poll it.
    pub fn of(ours: UnixStream) -> io::Result<Self> {
        ours.set_nonblocking(true)?;
        let socket = Arc::new(OwnedFd::from(ours));
        Ok(Self {
            awaited: Some(Readable::new(Arc::clone(&socket))?),
            socket,
            rest: Vec::new(),
            undelivered: Arc::default(),
            incoming: FrameBuffer::default(),
            reports: Reports::default(),
        })
    }

    /// Writes the assignment.
    ///
    /// # Errors
    /// As sendmsg(2), but for a socket that is full; when the assignment is too large. While the user has
    /// too many descriptors in flight nothing was written: see [`while_congested`].
    pub fn assign(
        &mut self,
        assignment: &Assignment,
        descriptors: &[OwnedFd],
    ) -> Result<(), AssignError> {
        let bytes = frame::encode(assignment)?;
        let mut sent = 0;
        let mut left: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        while sent < bytes.len() {
            match fdpass::send(self.socket.as_fd(), &bytes[sent..], &left) {
                Ok((count, taken)) => {
                    sent += count;
                    left.drain(..taken);
                }
                // Descriptors go with the first bytes, so none are left when it is full.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && left.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.rest = bytes[sent..].to_vec();
        let undelivered = !self.rest.is_empty();
        self.undelivered.store(undelivered, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a part of the assignment waits for [`Self::delivery`].
    pub fn is_undelivered(&self) -> bool {
        !self.rest.is_empty()
    }

    /// What is to be written yet, with a socket to write it to.
    ///
    /// # Errors
    /// When there is no free descriptor.
    pub fn delivery(&mut self) -> io::Result<Delivery> {
        Ok(Delivery {
            socket: Writable::of(self.socket.as_fd())?,
            rest: std::mem::take(&mut self.rest),
            undelivered: Arc::clone(&self.undelivered),
        })
    }

    /// Reads what is there.
    pub fn drain(&mut self) {
        let mut bytes = [0u8; 4096];
        let mut total = 0;
        while total < MOST {
            // Workers send no descriptors; what comes is closed at once.
            match fdpass::receive(self.socket.as_fd(), &mut bytes, &mut Vec::new()) {
                Ok(0) => {
                    self.reports.closed = true;
                    break;
                }
                Ok(count) => {
                    total += count;
                    self.incoming.extend(&bytes[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.reports.closed = true;
                    break;
                }
            }
        }
        self.take_reports();
    }

    fn take_reports(&mut self) {
        // A frame cut off by the worker's end, or garbage, is no report.
        while let Ok(Some(report)) = self.incoming.take::<WorkerReport>() {
            self.reports.add(report);
        }
    }

    /// Waits until the worker has sent something, or closed its end, and reads it.
    pub async fn receive(&mut self) {
        std::future::poll_fn(|cx| self.poll_receive(cx)).await;
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let awaited = match &self.awaited {
            Some(awaited) => awaited,
            None => match Readable::new(Arc::clone(&self.socket)) {
                Ok(awaited) => self.awaited.insert(awaited),
                Err(_) => {
                    self.reports.closed = true;
                    return Poll::Ready(());
                }
            },
        };
        let mut bytes = [0u8; 1024];
        let received = awaited.poll_read(cx, |socket| {
            fdpass::receive(socket, &mut bytes, &mut Vec::new())
        });
        match ready!(received) {
            Ok(0) | Err(_) => self.reports.closed = true,
            Ok(count) => self.incoming.extend(&bytes[..count]),
        }
        self.take_reports();
        Poll::Ready(())
    }

    /// What has been reported of how the worker began, which ends waiting. Why it could not is given once.
    pub fn first_reports(&mut self) -> FirstReports {
        self.awaited = None;
        FirstReports {
            applied: self.reports.applied.is_some(),
            exec_failed: self.reports.exec_failed.take(),
            start_failed: self.reports.start_failed.take(),
        }
    }

    /// Everything an ended worker has reported.
    pub fn into_reports(mut self) -> Reports {
        self.drain();
        let reports = std::mem::take(&mut self.reports);
        // There is nothing left to revoke.
        self.reports.closed = true;
        reports
    }

    /// Revokes the assignment and closes the socket for good, then reads what came before: a worker
    /// that has not reported itself by now can't any more, and ends before it begins.
    pub fn close(&mut self) {
        self.revoke();
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        self.drain();
    }

    /// One byte behind the assignment tells a worker that finds the socket closed that its start was
    /// given up. Without it mpforkd has died, and what it started goes on. Not within the assignment: a
    /// worker that gets a part of it never begins.
    fn revoke(&mut self) {
        if std::mem::replace(&mut self.reports.closed, true)
            || self.undelivered.load(Ordering::Relaxed)
        {
            return;
        }
        let sent = fdpass::send(self.socket.as_fd(), &[0], &[]);
        if sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            // The assignment fills the socket to the last byte: it gets room for one more.
            let socket = self.socket.as_fd();
            let _ = sockopt::socket_send_buffer_size(socket)
                .and_then(|size| sockopt::set_socket_send_buffer_size(socket, size));
            let _ = fdpass::send(socket, &[0], &[]);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.revoke();
    }
}

/// The rest of an assignment that the socket did not take at once.
#[derive(Debug)]
pub struct Delivery {
    socket: Writable,
    rest: Vec<u8>,
    undelivered: Arc<AtomicBool>,
}

impl Delivery {
    /// Writes it; ends early when the worker has ended.
    pub async fn run(self) {
        let mut sent = 0;
        while sent < self.rest.len() {
            let written = std::future::poll_fn(|cx| {
                let rest = &self.rest[sent..];
                self.socket
                    .poll_write(cx, |socket| fdpass::send(socket, rest, &[]))
            });
            match written.await {
                Ok((count, _)) => sent += count,
                Err(_) => return,
            }
        }
        self.undelivered.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpfork_proto::link::AssignedState;
    use std::io::Read as _;

    #[tokio::test]
    async fn once_it_has_begun_its_end_wakes_nobody_who_does_not_ask() {
        let (mut control, theirs) = Control::pair().unwrap();
        assert!(control.awaited.is_some());
        assert!(!control.first_reports().applied);
        assert!(control.awaited.is_none());
        drop(theirs);
        tokio::time::timeout(Duration::from_secs(10), control.receive())
            .await
            .unwrap();
        assert!(control.reports.closed);
    }

    #[tokio::test]
    async fn what_is_given_up_is_revoked_however_long_it_is() {
        let mut revoked = 0;
        for kilobytes in (150..300).step_by(5) {
            let (mut control, theirs) = Control::pair().unwrap();
            let assignment = Assignment {
                state: Some(AssignedState {
                    cwd_path: Some(vec![1; kilobytes << 10]),
                    ..AssignedState::default()
                }),
                ..Assignment::default()
            };
            control.assign(&assignment, &[]).unwrap();
            if control.is_undelivered() {
                continue;
            }
            revoked += 1;
            control.close();
            let mut bytes = Vec::new();
            UnixStream::from(theirs).read_to_end(&mut bytes).unwrap();
            let whole = frame::encode(&assignment).unwrap().len();
            assert_eq!(bytes.len(), whole + 1, "{kilobytes} kB");
        }
        assert!(revoked > 1);
    }
}
