//! Workers that are not forked but executed: the program once more, which takes its assignment in
//! [`freeze_support`](crate::freeze_support) and finds nothing preloaded.

use mpfork_proto::link::WORKER_ENV;
use mpfork_sys::arguments;
use mpfork_sys::spawn::{Launch, spawn as execute};
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStringExt as _;

/// Executes this very program as a worker with this socket, and the zygote's door if it has one;
/// returns its pid.
pub(crate) fn spawn(socket: BorrowedFd<'_>, door: Option<BorrowedFd<'_>>) -> io::Result<i32> {
    let program = File::open(mpfork_sys::own_process::executable()?.0)?;
    let argv: Vec<CString> = std::env::args_os()
        .map(|arg| Ok(CString::new(arg.into_vec())?))
        .collect::<io::Result<_>>()?;
    let variable = |(name, value): (OsString, OsString)| {
        let mut entry = name.into_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        Ok(CString::new(entry)?)
    };
    let env: Vec<CString> = std::env::vars_os()
        .map(variable)
        .collect::<io::Result<_>>()?;
    let launch = |room| {
        execute(&Launch {
            program: program.as_fd(),
            argv: &argv,
            room,
            env: &env,
            input: io::stdin().as_fd(),
            output: io::stderr().as_fd(),
            link: socket,
            variable: WORKER_ENV,
            door,
            session: false,
            huge_pages: false,
        })
    };
    // Arguments of a worker that goes on with `main` need room; without, `args_os` has them.
    launch(arguments::own_room()).or_else(|error| match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::TOOBIG) => launch(0),
        _ => Err(error),
    })
}
