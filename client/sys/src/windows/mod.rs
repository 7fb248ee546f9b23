//! What is done the way of Windows alone. There is no fork and there are no descriptors here: processes
//! are started by executing the program anew, with handles.

pub mod handles;
pub(crate) mod image;
pub mod process;
pub(crate) mod threads;
