//! All unsafe code of mpfork: what the standard library, nix and rustix do not offer safely. Small,
//! each block with its reason, reviewed line by line.
//!
//! Systems differ here and nowhere above: what one of them does its own way is in a folder of its own,
//! behind the functions of the module of that subject. What a system lacks is a typed error there, or a
//! feature that is tried and told to be absent.

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
compile_error!("mpfork runs on Linux, macOS and Windows");

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod platform;
#[cfg(target_os = "macos")]
#[path = "macos/mod.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows/mod.rs"]
mod platform;

#[cfg(unix)]
pub mod arguments;
#[cfg(unix)]
pub mod child_ends;
#[cfg(unix)]
pub mod descriptors;
pub mod entry;
pub mod env;
pub mod exit;
#[cfg(unix)]
pub mod fdpass;
#[cfg(unix)]
pub mod fork;
pub mod image;
#[cfg(unix)]
pub mod latch;
#[cfg(unix)]
pub mod limits;
#[cfg(unix)]
pub mod marker;
#[cfg(unix)]
pub mod memory_file;
#[cfg(unix)]
mod notes;
#[cfg(unix)]
pub mod own_process;
#[cfg(unix)]
pub mod processes;
#[cfg(unix)]
pub mod sentinel;
#[cfg(unix)]
pub mod signals;
#[cfg(unix)]
pub mod sockets;
#[cfg(unix)]
pub mod spawn;
#[cfg(unix)]
pub mod terminals;
pub mod threads;
#[cfg(unix)]
pub mod wait;
#[cfg(target_os = "linux")]
pub use platform::pidfd;
#[cfg(all(unix, feature = "tokio"))]
pub mod reactor;
#[cfg(unix)]
pub use platform::title;
#[cfg(windows)]
pub use platform::{handles, process};
