//! A worker under test, and how it ended.

use super::{LIMIT, Wire};
use mpfork_proto::link::{self, Applied, Exited, WorkerReport, worker_report};
use mpfork_proto::v1;
use mpfork_zygote::payload;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

/// A worker that was forked.
pub struct Worker {
    pub id: u64,
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub control: Wire,
    pub channel: Option<UnixStream>,
}

impl Worker {
    /// The result, if there is a channel and a result.
    pub fn value(&mut self) -> Option<Vec<u8>> {
        let channel = self.channel.take()?;
        channel.set_read_timeout(Some(LIMIT)).unwrap();
        let mut reader = payload::Reader::default();
        loop {
            match reader.step(channel.as_fd()).unwrap() {
                payload::Step::Partial => {}
                payload::Step::Payload(parcel) => return Some(parcel.bytes),
                payload::Step::End => return None,
            }
        }
    }

    /// Everything it reports, to its end.
    pub fn reports(&mut self) -> Vec<worker_report::Report> {
        let mut reports = Vec::new();
        while let Some(report) = self.control.receive::<WorkerReport>() {
            reports.push(report.report.unwrap());
        }
        reports
    }
}

/// How a worker ended.
#[derive(Debug)]
pub struct Outcome {
    pub value: Option<Vec<u8>>,
    pub reports: Vec<worker_report::Report>,
    pub exited: Exited,
    pub pid: i32,
}

impl Outcome {
    pub fn status(&self) -> i32 {
        self.exited.status.unwrap()
    }

    pub fn code(&self) -> i32 {
        match mpfork_proto::exit::Ended::from_raw(self.status()) {
            mpfork_proto::exit::Ended::Code(code) => code,
            other => panic!("{other:?} {:?}", self.reports),
        }
    }

    pub fn failure(&self) -> &v1::Failure {
        match self.reports.last() {
            Some(worker_report::Report::Failure(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }

    pub fn start_failed(&self) -> &link::StartFailed {
        match self.reports.as_slice() {
            [worker_report::Report::StartFailed(failed)] => failed,
            other => panic!("{other:?}"),
        }
    }

    pub fn applied(&self) -> &Applied {
        match self.reports.first() {
            Some(worker_report::Report::Applied(applied)) => applied,
            other => panic!("{other:?}"),
        }
    }
}
