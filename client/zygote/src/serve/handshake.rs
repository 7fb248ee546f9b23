//! The first two frames: which versions the supervisor speaks, and what the program declares.

use super::Fatal;
use super::link::Link;
use super::peers::Door;
use crate::registry::function;
use crate::registry::order::Declared as _;
use crate::registry::preload::{self, PreloadItem};
use crate::wire::Inbox;
use mpfork_proto::link::{
    Hello, PreloadDeclaration, VERSIONS, Welcome, supervisor_frame, zygote_frame,
};
use std::os::fd::OwnedFd;

/// What the supervisor began with, and the answer to it.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) hello: Hello,
    pub(super) welcome: Welcome,
    /// The process to which a program's own zygote belongs.
    pub(super) owner: Option<OwnedFd>,
    pub(super) door: Option<Door>,
}

/// Answers the supervisor's greeting; `None` when the supervisor has gone.
pub(super) fn handshake(link: &Link, inbox: &mut Inbox) -> Result<Option<Greeting>, Fatal> {
    let Some(frame) = link.receive(inbox)? else {
        return Ok(None);
    };
    let mut descriptors = inbox.claim(frame.descriptors)?;
    let hello = match frame.frame {
        Some(supervisor_frame::Frame::Hello(hello)) => hello,
        Some(_) => return Err(Fatal::OutOfTurn("something else than a greeting")),
        None => return Err(Fatal::OutOfTurn("a frame of an unknown kind")),
    };
    let (mut door, mut owner) = (None, None);
    if hello.embedded {
        let (Some(inside), Some(outside)) = (descriptors.pop_front(), descriptors.pop_front())
        else {
            return Err(Fatal::OutOfTurn("a greeting without a door"));
        };
        door = Some(Door { inside, outside });
        owner = descriptors.pop_front();
    }
    if !die_with_supervisor(link) {
        return Ok(None);
    }
    let version = choose(&hello);
    let welcome = Welcome {
        // What it could speak, when there is no common version: the supervisor tells it is.
        version: version.unwrap_or(VERSIONS.1),
        program: concat!("mpfork ", env!("CARGO_PKG_VERSION")).to_owned(),
        preloads: declarations(),
        functions: function::names().into_iter().map(str::to_owned).collect(),
    };
    link.send(zygote_frame::Frame::Welcome(welcome.clone()), None)?;
    match version {
        Some(_) => Ok(Some(Greeting {
            hello,
            welcome,
            owner,
            door,
        })),
        None => Err(Fatal::Version(hello.version_min, hello.version_max)),
    }
}

/// The supervisor's next frame; `None` when it has gone.
pub(super) fn receive(
    link: &Link,
    inbox: &mut Inbox,
) -> Result<Option<supervisor_frame::Frame>, Fatal> {
    let Some(frame) = link.receive(inbox)? else {
        return Ok(None);
    };
    inbox.claim(frame.descriptors)?;
    match frame.frame {
        Some(frame) => Ok(Some(frame)),
        None => Err(Fatal::OutOfTurn("a frame of an unknown kind")),
    }
}

/// The highest version both sides speak.
fn choose(hello: &Hello) -> Option<u32> {
    let version = hello.version_max.min(VERSIONS.1);
    (version >= hello.version_min && version >= VERSIONS.0).then_some(version)
}

/// A preload can't read the link; until all are loaded the kernel tells of the supervisor's end.
/// False when that has come.
fn die_with_supervisor(link: &Link) -> bool {
    // Refused by a filter, or by the platform: then the end is seen at the next read.
    let _ = mpfork_sys::own_process::end_with_parent(true);
    // It may have died before the kernel was asked.
    !link.hung_up()
}

/// In load order; as they come when there is none, which the preloading will tell.
fn declarations() -> Vec<PreloadDeclaration> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    preload::sorted()
        .unwrap_or_else(|_| inventory::iter::<PreloadItem>().collect())
        .into_iter()
        .map(|item| {
            let declaration = item.preload.declaration();
            PreloadDeclaration {
                name: item.name().to_owned(),
                after: owned(item.after()),
                env: owned(declaration.declared_env()),
                time_limit: super::preload::limit(declaration),
            }
        })
        .collect()
}
