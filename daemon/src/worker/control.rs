//! The supervisor's end of a worker's own socket: the assignment goes in, reports come out.

use mpfork_proto::frame::{self, FrameBuffer, FrameError};
use mpfork_proto::link::{
    Applied, Assignment, ExecFailed, StartFailed, WorkerReport, worker_report,
};
use mpfork_proto::v1::Failure;
use mpfork_sys::fdpass;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::io::Interest;

/// The most bytes of reports read from one worker.
const MOST: usize = 1 << 20;

/// What a worker has reported so far.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    pub(crate) applied: Option<Applied>,
    pub(crate) exec_failed: Option<ExecFailed>,
    pub(crate) start_failed: Option<StartFailed>,
    pub(crate) failure: Option<Failure>,
    /// The worker's end is closed: it has executed a program, or ended.
    pub(crate) closed: bool,
}

impl Reports {
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

/// A worker's own socket.
#[derive(Debug)]
pub(crate) struct Control {
    socket: UnixStream,
    /// What the socket did not take of the assignment.
    rest: Vec<u8>,
    /// What was read of reports that are not whole yet.
    incoming: FrameBuffer,
    pub(crate) reports: Reports,
}

/// Why an assignment could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssignError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl Control {
    /// Makes the socket with the assignment in it; returns the worker's end too.
    pub(crate) fn assign(
        assignment: &Assignment,
        descriptors: &[OwnedFd],
    ) -> Result<(Self, OwnedFd), AssignError> {
        let bytes = frame::encode(assignment)?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut sent = 0;
        let mut left: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        while sent < bytes.len() {
            match fdpass::send(ours.as_fd(), &bytes[sent..], &left) {
                Ok((count, taken)) => {
                    sent += count;
                    left.drain(..taken);
                }
                // Descriptors go with the first bytes, so none are left when it is full.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && left.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        let control = Self {
            socket: ours,
            rest: bytes[sent..].to_vec(),
            incoming: FrameBuffer::default(),
            reports: Reports::default(),
        };
        Ok((control, theirs.into()))
    }

    /// Whether a part of the assignment waits for [`Self::delivery`].
    pub(crate) fn is_undelivered(&self) -> bool {
        !self.rest.is_empty()
    }

    /// What is to be written yet, with a socket to write it to.
    pub(crate) fn delivery(&mut self) -> io::Result<Delivery> {
        Ok(Delivery {
            socket: self.watch()?,
            rest: std::mem::take(&mut self.rest),
        })
    }

    /// Reads what is there.
    pub(crate) fn drain(&mut self) {
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
        // A frame cut off by the worker's end, or garbage, is no report.
        while let Ok(Some(report)) = self.incoming.take::<WorkerReport>() {
            self.reports.add(report);
        }
    }

    /// Everything an ended worker has reported.
    pub(crate) fn into_reports(mut self) -> Reports {
        self.drain();
        let reports = std::mem::take(&mut self.reports);
        // There is nothing left to revoke.
        self.reports.closed = true;
        reports
    }

    /// Revokes the assignment and closes the socket for good, then reads what came before: a worker
    /// that has not reported itself by now can't any more, and ends before it begins.
    pub(crate) fn close(&mut self) {
        self.revoke();
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.drain();
    }

    /// One byte behind the assignment tells a worker that finds the socket closed that its start was
    /// given up. Without it mpforkd has died, and what it started goes on.
    fn revoke(&mut self) {
        if !std::mem::replace(&mut self.reports.closed, true) {
            let _ = fdpass::send(self.socket.as_fd(), &[0], &[]);
        }
    }

    /// Waits until there is something to read, or its end. False: not within this time, or it can't
    /// be awaited.
    pub(crate) async fn readable(&self, within: Duration) -> bool {
        let Ok(socket) = self.watch() else {
            return false;
        };
        matches!(
            tokio::time::timeout(within, socket.readable()).await,
            Ok(Ok(()))
        )
    }

    fn watch(&self) -> io::Result<tokio::net::UnixStream> {
        tokio::net::UnixStream::from_std(self.socket.try_clone()?)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.revoke();
    }
}

/// The rest of an assignment that the socket did not take at once.
#[derive(Debug)]
pub(crate) struct Delivery {
    socket: tokio::net::UnixStream,
    rest: Vec<u8>,
}

impl Delivery {
    /// Writes it; ends early when the worker has ended.
    pub(crate) async fn run(self) {
        let mut sent = 0;
        while sent < self.rest.len() {
            if self.socket.writable().await.is_err() {
                return;
            }
            let result = self.socket.try_io(Interest::WRITABLE, || {
                fdpass::send(self.socket.as_fd(), &self.rest[sent..], &[])
            });
            match result {
                Ok((count, _)) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
