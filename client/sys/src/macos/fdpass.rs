//! How messages with descriptors are sent and received.

use rustix::io::FdFlags;
use rustix::net::{RecvFlags, SendFlags};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

/// What is received becomes close-on-exec only afterwards: see [`received`].
pub(crate) const RECEIVE_FLAGS: RecvFlags = RecvFlags::empty();

/// Without SIGPIPE, which here is an option of the socket. A socket that refuses it is no socket, as
/// sending will tell.
pub(crate) fn send_flags(socket: BorrowedFd<'_>) -> SendFlags {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is ours, outlives the call and has this length.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NOSIGPIPE,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    SendFlags::empty()
}

/// Makes it close-on-exec. What another thread executes in the meantime by other means than
/// [`crate::spawn`] may inherit it: the system offers nothing without this gap.
pub(crate) fn received(descriptor: &OwnedFd) {
    // Refused for no open descriptor.
    let _ = rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC);
}
