//! The standard streams whose other ends mpforkd holds: kept ones, which it reads as they come, and
//! attached ones, which wait for `Attach`.

mod attached;
mod files;
mod kept;
mod plan;
mod result;

pub(crate) use attached::{Attachment, Refused};
pub(crate) use files::Files;
pub(crate) use plan::Plan;

use super::request::StartRequest;
use crate::daemon::Daemon;
use crate::kept::Ring;
use attached::Attachable;
use files::Taken;
use kept::Kept;
use mpfork_proto::link::{assigned_state::Placed, assigned_task};
use mpfork_proto::problem::Problem;
use mpfork_sys::fdpass::MAX_PER_MESSAGE;
use plan::Stream;
use result::Channel;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::net::unix::pipe;

/// The ends that mpforkd holds of one worker's streams.
#[derive(Debug)]
pub(crate) struct Streams {
    kept: Option<Kept>,
    /// Something was to be kept, and `limits.kept_output` was 0.
    dropped: bool,
    attachable: Option<Attachable>,
}

impl Streams {
    /// Opens what the plan of a request says; the worker's ends are added to the request's
    /// descriptors. `None`: the client has given everything.
    pub(crate) fn open(
        daemon: &Daemon,
        request: &mut StartRequest,
    ) -> Result<Option<Arc<Self>>, Problem> {
        let plan = request.plan;
        if !plan.is_needed() {
            return Ok(None);
        }
        // An earlier try may have added its own.
        request.descriptors.truncate(plan.descriptors);
        request.start.state.placed.truncate(plan.placed);
        let config = daemon.config();
        let limits = &config.limits;
        let to_keep = plan.which(Stream::Kept).next().is_some();
        let keeps = limits.kept_output > 0 && to_keep;
        let attached = plan.which(Stream::Attached).count() + usize::from(plan.result);
        let mut opening = Opening { request };
        let streams = Self {
            kept: if keeps {
                let taken = daemon.files.take(&daemon.workers, 1)?;
                let ring = Ring::within(&daemon.kept, limits.kept_output);
                Some(opening.kept(plan, ring, taken).map_err(refused)?)
            } else {
                None
            },
            dropped: to_keep && !keeps,
            attachable: if attached > 0 {
                let taken = daemon.files.take(&daemon.workers, attached)?;
                Some(opening.attachable(plan, taken).map_err(refused)?)
            } else {
                None
            },
        };
        if request.descriptors.len() > MAX_PER_MESSAGE {
            return Err(Problem::limit("descriptors of one worker", MAX_PER_MESSAGE));
        }
        Ok(Some(Arc::new(streams)))
    }

    /// The worker runs: what is kept is read from now on.
    pub(crate) fn begin(&self) {
        if let Some(kept) = &self.kept {
            kept.begin();
        }
    }

    /// The worker has ended: all it has written is there, and no more is kept.
    pub(crate) fn finish(&self) {
        if let Some(kept) = &self.kept {
            kept.finish();
        }
    }

    /// What is kept, if anything is.
    pub(crate) fn kept(&self) -> Option<Arc<Ring>> {
        self.kept.as_ref().map(Kept::ring)
    }

    /// Whether something would be kept, if mpforkd kept anything.
    pub(crate) fn dropped(&self) -> bool {
        self.dropped
    }

    /// Takes the ends for a client; `Ok(None)` where there are none to be attached to.
    pub(crate) fn attach(self: &Arc<Self>) -> Result<Option<Attachment>, Refused> {
        match &self.attachable {
            Some(_) => Attachment::new(self).map(Some),
            None => Ok(None),
        }
    }

    /// Closes the ends nobody is attached to: thousands of ended workers are remembered, and
    /// descriptors are few.
    pub(crate) fn close(&self) {
        if let Some(attachable) = &self.attachable {
            attachable.close();
        }
    }
}

/// A request that gets the worker's ends.
struct Opening<'a> {
    request: &'a mut StartRequest,
}

impl Opening<'_> {
    /// One pipe for both streams: what was written first comes first.
    fn kept(&mut self, plan: Plan, ring: Ring, taken: Taken) -> io::Result<Kept> {
        let (ours, theirs) = std::io::pipe()?;
        let index = self.add(theirs.into());
        for number in plan.which(Stream::Kept) {
            self.place(index, number);
        }
        Ok(Kept::new(reader(ours.into())?, ring, taken))
    }

    fn attachable(&mut self, plan: Plan, taken: Taken) -> io::Result<Attachable> {
        let mut attachable = Attachable::new(taken);
        for number in plan.which(Stream::Attached) {
            let (ours, theirs) = std::io::pipe()?;
            if number == 0 {
                attachable.stdin(pipe::Sender::from_owned_fd(theirs.into())?);
                let index = self.add(ours.into());
                self.place(index, number);
            } else {
                attachable.output(number, reader(ours.into())?);
                let index = self.add(theirs.into());
                self.place(index, number);
            }
        }
        if plan.result {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            attachable.result(Channel::new(ours));
            let index = self.add(theirs.into());
            if let Some(assigned_task::Task::Function(function)) = &mut self.request.start.task.task
            {
                function.channel = Some(index);
            }
        }
        Ok(attachable)
    }

    /// Adds a descriptor to the request's; its index.
    fn add(&mut self, descriptor: OwnedFd) -> u32 {
        let index = self.request.descriptors.len();
        self.request.descriptors.push(descriptor);
        // At most some hundreds.
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn place(&mut self, index: u32, target: u32) {
        self.request
            .start
            .state
            .placed
            .push(Placed { index, target });
    }
}

fn refused(error: io::Error) -> Problem {
    Problem::limit("open files of mpforkd", error)
}

fn reader(pipe: OwnedFd) -> io::Result<Arc<pipe::Receiver>> {
    Ok(Arc::new(pipe::Receiver::from_owned_fd(pipe)?))
}

/// How many bytes a pipe holds.
pub(crate) fn waiting(pipe: &pipe::Receiver) -> usize {
    let bytes = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
