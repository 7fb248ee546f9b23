//! What is done the way of macOS alone: one file for each subject that has two.

pub(crate) mod child_ends;
pub(crate) mod descriptors;
mod dyld;
pub(crate) mod fdpass;
pub(crate) mod fork;
pub(crate) mod image;
pub(crate) mod latch;
mod libproc;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod memory_file;
pub(crate) mod own_process;
pub(crate) mod processes;
mod queue;
pub(crate) mod sentinel;
pub(crate) mod signals;
pub(crate) mod sockets;
pub(crate) mod spawn;
pub(crate) mod terminals;
pub(crate) mod threads;
pub mod title;
