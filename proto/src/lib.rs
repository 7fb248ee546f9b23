//! The contract of mpfork: the gRPC API that clients use ([`v1`]), the frames between a zygote and
//! its supervisor ([`link`]), and the one table of errors ([`reason`]).
#![forbid(unsafe_code)]

#[cfg(feature = "grpc")]
mod codec;
pub mod environment;
pub mod exit;
pub mod frame;
pub mod platform;
pub mod problem;
pub mod reason;
pub mod worker_id;

/// Generated from `mpfork/v1/*.proto`, whose comments document every message.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::missing_errors_doc
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/mpfork.v1.rs"));
}

/// Generated from `mpfork/link/link.proto`, whose comments document every frame.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod link {
    include!(concat!(env!("OUT_DIR"), "/mpfork.link.rs"));

    /// The versions of the link protocol this build speaks, lowest and highest.
    pub const VERSIONS: (u32, u32) = (1, 1);
    /// How long a zygote compacts its memory at most, where nothing else is said.
    pub const COMPACTION_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
    /// The environment variable that tells a program it was started as a zygote: the number of the
    /// descriptor that is the link, a colon, and the socket's inode, by which the program knows it from
    /// another one that has the number.
    pub const LINK_ENV: &str = "MPFORK_LINK";
    /// The environment variable that tells a program it was executed as a worker, of its own socket in
    /// the same form.
    pub const WORKER_ENV: &str = "MPFORK_WORKER";
}

/// Encodes and decodes messages.
pub use prost::Message;

/// The versions of the API this build speaks, lowest and highest.
pub const VERSIONS: (u32, u32) = (1, 1);

/// The name of the daemon's own template, whose workers execute plain commands.
pub const BUILTIN_TEMPLATE: &str = "command";

/// The encoded `FileDescriptorSet` of the whole contract.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The largest gRPC message either side takes, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
