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

pub mod entry;
pub mod env;
pub mod exit;
pub mod image;
pub mod threads;

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        pub mod arguments;
        pub mod child_ends;
        pub mod descriptors;
        pub mod fdpass;
        pub mod fork;
        pub mod latch;
        pub mod limits;
        pub mod mapping;
        pub mod marker;
        pub mod malloc_tunables;
        pub mod memory;
        pub mod memory_file;
        mod notes;
        pub mod own_process;
        pub mod processes;
        #[cfg(feature = "tokio")]
        pub mod reactor;
        pub mod sentinel;
        pub mod signals;
        pub mod sockets;
        pub mod spawn;
        pub mod terminals;
        pub mod wait;

        #[cfg(target_os = "linux")]
        pub use platform::pidfd;
        pub use platform::title;
    } else {
        pub use platform::{handles, process};
    }
}
