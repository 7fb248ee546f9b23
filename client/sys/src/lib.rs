//! All unsafe code of mpfork: what the standard library, nix and rustix do not offer safely. Small,
//! each block with its reason, reviewed line by line.

pub mod arguments;
pub mod descriptors;
pub mod entry;
pub mod env;
pub mod exit;
pub mod fdpass;
pub mod fork;
pub mod image;
pub mod limits;
pub mod marker;
pub mod pidfd;
#[cfg(feature = "tokio")]
pub mod reactor;
pub mod signals;
pub mod spawn;
pub mod threads;
pub mod title;
pub mod wait;
