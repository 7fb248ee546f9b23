//! What is done the way of Linux alone: one file for each subject that has two.

mod cgroup;
pub(crate) mod child_ends;
pub(crate) mod descriptors;
pub(crate) mod fdpass;
pub(crate) mod fork;
#[cfg(target_env = "gnu")]
mod heap;
pub(crate) mod image;
pub(crate) mod latch;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod memory_file;
pub(crate) mod own_process;
pub mod pidfd;
pub(crate) mod processes;
pub(crate) mod sentinel;
pub(crate) mod signals;
mod smaps;
pub(crate) mod sockets;
pub(crate) mod spawn;
pub(crate) mod terminals;
pub(crate) mod threads;
pub mod title;
