//! One link: frames and descriptors to and from who started the zygote, or who came by its door.

use crate::wire::{self, Inbox, WireError};
use mpfork_proto::frame;
use mpfork_proto::link::{SupervisorFrame, ZygoteFrame, zygote_frame};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

/// The socket to the supervisor, until the supervisor is gone.
#[derive(Debug, Clone)]
pub(super) struct Link(Rc<LinkState>);

#[derive(Debug)]
struct LinkState {
    socket: OwnedFd,
    open: Cell<bool>,
    /// What the socket did not take yet. Nothing more is taken in meanwhile, so this is bounded by the
    /// workers whose exits are to be told.
    outgoing: RefCell<VecDeque<Outgoing>>,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    descriptor: Option<OwnedFd>,
}

impl Link {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self(Rc::new(LinkState {
            socket,
            open: Cell::new(true),
            outgoing: RefCell::default(),
        }))
    }

    /// Its process has ended, whoever else holds the other end.
    pub(super) fn close(&self) {
        self.0.open.set(false);
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.0.socket.as_fd()
    }

    /// The numbers of its socket, and of the descriptors that wait to be sent.
    pub(super) fn own(&self, each: &mut dyn FnMut(RawFd)) {
        each(self.socket().as_raw_fd());
        let outgoing = self.0.outgoing.borrow();
        for frame in outgoing.iter() {
            if let Some(descriptor) = &frame.descriptor {
                each(descriptor.as_raw_fd());
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.open.get()
    }

    /// From here on one that does not read holds nobody up.
    pub(super) fn do_not_block(&self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(self.socket(), true)?)
    }

    /// Tells the supervisor, unless it is gone.
    pub(super) fn send(
        &self,
        frame: zygote_frame::Frame,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), WireError> {
        if !self.is_open() {
            return Ok(());
        }
        let frame = ZygoteFrame {
            descriptors: u32::from(descriptor.is_some()),
            frame: Some(frame),
        };
        self.0.outgoing.borrow_mut().push_back(Outgoing {
            bytes: frame::encode(&frame)?,
            sent: 0,
            descriptor,
        });
        self.flush()
    }

    /// Sends what the socket takes of what waits.
    pub(super) fn flush(&self) -> Result<(), WireError> {
        let mut outgoing = self.0.outgoing.borrow_mut();
        while let Some(front) = outgoing.front_mut() {
            let descriptor = front.descriptor.as_ref().map(OwnedFd::as_fd);
            let rest = &front.bytes[front.sent..];
            match wire::send_some(self.socket(), rest, descriptor.as_slice()) {
                Ok(sent) => {
                    front.sent += sent;
                    front.descriptor = None;
                    if front.sent == front.bytes.len() {
                        outgoing.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    outgoing.clear();
                    return self.unless_gone(Err(error.into()), ());
                }
            }
        }
        Ok(())
    }

    /// Whether something waits for the socket to take it.
    pub(super) fn is_full(&self) -> bool {
        !self.0.outgoing.borrow().is_empty()
    }

    /// Reads what the supervisor has sent.
    pub(super) fn fill(&self, inbox: &mut Inbox) -> Result<(), WireError> {
        match self.unless_gone(inbox.fill(self.socket()), false) {
            Ok(true) => {}
            Ok(false) => self.close(),
            // What was waited for was room to send.
            Err(WireError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The supervisor's next frame; `None` when it has gone.
    pub(super) fn receive(&self, inbox: &mut Inbox) -> Result<Option<SupervisorFrame>, WireError> {
        self.unless_gone(inbox.receive(self.socket()), None)
    }

    fn unless_gone<T>(&self, result: Result<T, WireError>, gone: T) -> Result<T, WireError> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match result {
            Err(WireError::Io(error)) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                self.0.open.set(false);
                Ok(gone)
            }
            other => other,
        }
    }

    pub(super) fn hung_up(&self) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(self.socket(), PollFlags::IN)];
        let none = Timespec::default();
        let polls = rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&none)));
        polls.is_ok() && polled[0].revents().contains(PollFlags::HUP)
    }
}
