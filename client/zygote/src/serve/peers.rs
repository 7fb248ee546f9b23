//! Who asks for workers: the process that executed the zygote, and, of a program's own zygote, whoever
//! came by its door.

use super::Fatal;
use super::link::Link;
use crate::wire::{Inbox, WireError};
use mpfork_proto::link::{Exited, Ready, SupervisorFrame, Welcome, zygote_frame};
use mpfork_sys::fdpass;
use rustix::event::{PollFd, PollFlags};
use std::collections::VecDeque;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

/// The most links at a time: each fork copies the table of descriptors.
const MOST: usize = 256;

/// One that asks for workers.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: u64,
    pub(super) link: Link,
    pub(super) inbox: Inbox,
    /// The process, whose end counts though a copy of it may hold the other end of the link. Known in
    /// a program's own zygote only.
    pub(super) owner: Option<OwnedFd>,
}

impl Peer {
    /// Reads once; the whole frames there are, each with its descriptor.
    pub(super) fn receive(
        &mut self,
        into: &mut VecDeque<(u64, SupervisorFrame, Option<OwnedFd>)>,
    ) -> Result<(), Fatal> {
        if self.link.is_full() {
            return Ok(self.link.flush()?);
        }
        self.link.fill(&mut self.inbox)?;
        while let Some(frame) = self.inbox.take::<SupervisorFrame>()? {
            let descriptor = self.inbox.claim(frame.descriptors)?.pop_front();
            into.push_back((self.id, frame, descriptor));
        }
        Ok(())
    }
}

/// How processes of a program come to a link of their own.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) inside: OwnedFd,
    /// What every worker gets.
    pub(super) outside: OwnedFd,
}

#[derive(Debug)]
pub(super) struct Peers {
    /// The first is the one that executed the zygote.
    all: Vec<Peer>,
    next: u64,
    pub(super) door: Option<Door>,
    /// What a new link is told.
    told: (Welcome, Ready),
}

/// The one that executed the zygote.
pub(super) const FIRST: u64 = 0;

impl Peers {
    pub(super) fn new(
        link: Link,
        inbox: Inbox,
        owner: Option<OwnedFd>,
        door: Option<Door>,
        told: (Welcome, Ready),
    ) -> Self {
        let first = Peer {
            id: FIRST,
            link,
            inbox,
            owner,
        };
        Self {
            all: vec![first],
            next: FIRST + 1,
            door,
            told,
        }
    }

    /// Whether the one that executed the zygote is still there.
    pub(super) fn has_first(&self) -> bool {
        self.all
            .iter()
            .any(|peer| peer.id == FIRST && peer.link.is_open())
    }

    /// The numbers of all descriptors in here.
    pub(super) fn own(&self, each: &mut dyn FnMut(RawFd)) {
        for peer in &self.all {
            peer.link.own(each);
            peer.inbox.own(each);
            if let Some(owner) = &peer.owner {
                each(owner.as_raw_fd());
            }
        }
        if let Some(door) = &self.door {
            each(door.inside.as_raw_fd());
            each(door.outside.as_raw_fd());
        }
    }

    pub(super) fn get(&mut self, id: u64) -> Option<&mut Peer> {
        self.all.iter_mut().find(|peer| peer.id == id)
    }

    /// Tells who asked, unless it is gone.
    pub(super) fn tell(
        &self,
        id: u64,
        frame: zygote_frame::Frame,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), WireError> {
        match self.all.iter().find(|peer| peer.id == id) {
            // What one of many can't be told is its own loss.
            Some(peer) if id != FIRST => {
                if peer.link.send(frame, descriptor).is_err() {
                    peer.link.close();
                }
                Ok(())
            }
            Some(peer) => peer.link.send(frame, descriptor),
            None => Ok(()),
        }
    }

    pub(super) fn tell_exit(&self, id: u64, exited: Exited) -> Result<(), WireError> {
        self.tell(id, zygote_frame::Frame::Exited(exited), None)
    }

    /// What to wait for, in this order: the door, then each link and its process's end.
    pub(super) fn polled<'a>(&'a self, into: &mut Vec<PollFd<'a>>) {
        if let Some(door) = &self.door {
            into.push(PollFd::new(&door.inside, PollFlags::IN));
        }
        for peer in &self.all {
            // A closed link would be ready for ever.
            if peer.link.is_open() {
                // One that does not read is not read from.
                let flags = match peer.link.is_full() {
                    true => PollFlags::OUT,
                    false => PollFlags::IN,
                };
                into.push(PollFd::from_borrowed_fd(peer.link.socket(), flags));
                into.extend(
                    peer.owner
                        .as_ref()
                        .map(|owner| PollFd::new(owner, PollFlags::IN)),
                );
            }
        }
    }

    /// Reads what was waited for: whether somebody is at the door, who has asked, whose process ended.
    pub(super) fn ready(&self, mut polled: impl Iterator<Item = bool>) -> Asking {
        let mut asking = Asking {
            door: self.door.is_some() && polled.next() == Some(true),
            ..Asking::default()
        };
        for peer in &self.all {
            if !peer.link.is_open() {
                continue;
            }
            if polled.next() == Some(true) {
                asking.peers.push(peer.id);
            }
            if peer.owner.is_some() && polled.next() == Some(true) {
                asking.ended.push(peer.id);
            }
        }
        asking
    }

    /// Who is at the door: the link to have, and the process. Who can't be let in sees it by the end of
    /// its link.
    pub(super) fn at_door(&self) -> Option<(OwnedFd, Option<OwnedFd>)> {
        let door = self.door.as_ref()?;
        let mut descriptors = Vec::new();
        // Nobody may be there any more; or descriptors were lost, for want of numbers.
        fdpass::receive(door.inside.as_fd(), &mut [0; 1], &mut descriptors).ok()?;
        let mut descriptors = descriptors.into_iter();
        let link = descriptors.next()?;
        (self.all.len() < MOST).then(|| (link, descriptors.next()))
    }

    /// Lets in who was at the door.
    pub(super) fn admit(&mut self, link: OwnedFd, owner: Option<OwnedFd>) {
        let link = Link::new(link);
        let (welcome, ready) = self.told.clone();
        let told = link.do_not_block().is_ok()
            && link
                .send(zygote_frame::Frame::Welcome(welcome), None)
                .is_ok()
            && link.send(zygote_frame::Frame::Ready(ready), None).is_ok();
        if told {
            self.all.push(Peer {
                id: self.next,
                link,
                inbox: Inbox::default(),
                owner,
            });
            self.next += 1;
        }
    }

    /// Forgets those that are gone; who they were.
    pub(super) fn take_gone(&mut self) -> Vec<u64> {
        let gone = |peer: &Peer| !peer.link.is_open();
        let ids = self.all.iter().filter(|peer| gone(peer));
        let ids: Vec<u64> = ids.map(|peer| peer.id).collect();
        if !ids.is_empty() {
            self.all.retain(|peer| !gone(peer));
        }
        ids
    }
}

/// What a wait has brought.
#[derive(Debug, Default)]
pub(super) struct Asking {
    pub(super) door: bool,
    /// Who has sent something, or closed its link.
    pub(super) peers: Vec<u64>,
    /// Whose process has ended.
    pub(super) ended: Vec<u64>,
}

impl Asking {
    pub(super) fn is_nothing(&self) -> bool {
        !self.door && self.peers.is_empty() && self.ended.is_empty()
    }
}
