//! gRPC over a Unix socket, with descriptors riding along.
//!
//! HTTP/2 has no place for a descriptor, but the socket under it has: SCM_RIGHTS. [`FdStream`] is
//! the byte stream that tonic runs over on both sides; it writes with sendmsg and reads with
//! recvmsg. Descriptors go out with whatever bytes are written next, and each side numbers those it
//! sends from 0, in order; the other side numbers them as they arrive, so a message names one by
//! (connection id, number): [`Descriptor`]. One that is queued before its message is written arrives
//! with or before that message, so whoever handles the message finds it in the connection's inbox.
//!
//! [`Descriptor`]: mpfork_proto::v1::Descriptor
//!
//! # The parts
//! [`connect`] gives a client a channel and its [`Connection`]; [`client_handshake`] makes it ready.
//! A server wraps accepted sockets in [`FdStream::server`], hands them to [`server`]'s
//! `serve_with_incoming`, finds the [`Connection`] of a request with [`Connection::of`], and answers
//! the handshake with [`answer_handshake`]. Until its handshake a connection carries no descriptors,
//! and it never does when the probes that the handshake exchanges do not arrive, as with a stock
//! gRPC client or a relay of bytes in between: calls work, descriptors are refused by name.
//!
//! A [`Channel`] is one connection's. A lost connection therefore fails every later call on its
//! channel; to reconnect is to [`connect`] anew, with a new inbox, numbers and id, so that a
//! descriptor can never be taken for one of another connection.
//!
//! # Sending, and credit
//! Each side grants the other a credit in the handshake: how many descriptors it may have
//! outstanding. Whoever sends reserves credit first ([`Connection::reserve`], which waits), *then*
//! opens the descriptors, queues them ([`Reservation::queue`]), and puts the references into a
//! message. Reserving before opening is what keeps thousands of concurrent calls within the limit
//! of open files.
//!
//! - Client to daemon: credit comes back when the call that names the descriptors is over. The
//!   client keeps [`Queued::credit`] until then and drops it. The daemon claims before it answers, so
//!   what lies in its inbox never exceeds the credit.
//! - Daemon to client: credit comes back by the rpc `Acknowledge`. The client calls [`acknowledge`]
//!   after it has claimed; that sends the total once half the credit has been claimed since the last
//!   time. The daemon passes the total to [`Connection::acknowledged`]. Its [`Queued::credit`] does
//!   nothing. Since up to half the credit may wait for the next acknowledgement, the daemon's largest
//!   set is half the credit (rounded up, plus one when the credit is even).
//!
//! A peer that leaves more in our inbox than its credit is cut off ([`Failure::Flooded`]).
//!
//! # Rules for callers
//! 1. **Queued means named.** A queued descriptor will be sent, so a message that names it must be
//!    too; otherwise it rots in the peer's inbox until that counts as a flood. No await and no early
//!    return between [`Reservation::queue`] and handing the message to tonic, no message over
//!    [`MAX_MESSAGE_BYTES`](mpfork_proto::MAX_MESSAGE_BYTES), no deadline on the call, and a client's
//!    call that queues or is answered with descriptors runs under [`uncancelled`], so that dropping
//!    the caller's future neither resets the call nor leaves its answer unclaimed.
//! 2. **Claim first.** A handler claims everything its request names before anything else can fail
//!    ([`Connection::claim_all`]).
//! 3. The tokio runtime has I/O and time enabled.
#![forbid(unsafe_code)]

#[cfg_attr(not(unix), path = "place.rs")]
pub mod search;

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod channel;
        mod connect;
        mod connection;
        mod failure;
        mod handshake;
        mod ledger;
        mod sending;
        mod stream;

        pub use channel::Channel;
        pub use connect::{CONCURRENT_STREAMS, ConnectError, channel_over, connect, server};
        pub use connection::Connection;
        pub use failure::Failure;
        pub use handshake::{Handshake, acknowledge, answer_handshake, client_handshake};
        pub use sending::{Credit, Queued, Reservation, SendError, uncancelled};
        pub use stream::FdStream;
    }
}

/// The credit to grant unless there is a reason for another.
pub const DEFAULT_CREDIT: u32 = 256;

/// The largest credit that is granted or used.
///
/// All that is outstanding must fit the first bytes of any one message, 253 descriptors to a byte: an
/// HTTP/2 frame with the smallest gRPC message has 14 bytes, room for 3,542.
pub const MAX_CREDIT: u32 = 2048;
