//! What users and clients may see of each other. That another user is refused on every call is tested
//! with the calls, that unsafe folders are with the socket.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

mod descriptors;
mod environment;
mod modes;
mod server;
