//! A socket that the service manager made and passed: sd_listen_fds(3).

use crate::listen::ListenError;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// A listening socket that mpforkd was passed.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) listener: UnixListener,
    pub(crate) path: PathBuf,
}

/// Takes the socket that was passed to this process, if one was. Called once, before anything else keeps a
/// descriptor.
pub(crate) fn take() -> Result<Option<Passed>, ListenError> {
    let wrong = |detail: String| ListenError::Passed { detail };
    let unclear = |error| wrong(format!("LISTEN_FDS, LISTEN_FDNAMES: {error}"));
    // Names say nothing when what was passed is not for this process.
    if sd_notify::listen_fds().map_err(unclear)?.len() == 0 {
        return Ok(None);
    }
    let passed = sd_notify::listen_fds_with_names().map_err(unclear)?;
    let passed: Vec<(i32, String)> = passed.collect();
    let (number, name) = match passed.as_slice() {
        [(number, name)] => (*number, name),
        more => {
            let names: Vec<&str> = more.iter().map(|(_, name)| name.as_str()).collect();
            return Err(wrong(format!(
                "{} were passed ({}), and one is served: the socket unit has one ListenStream=",
                more.len(),
                names.join(", ")
            )));
        }
    };
    let Some(socket) = mpfork_sys::descriptors::adopt_socket(number) else {
        return Err(wrong(format!(
            "{name} is no Unix stream socket: the socket unit has ListenStream= with a path"
        )));
    };
    let listens = mpfork_sys::sockets::listens(socket.as_fd())
        .map_err(|error| wrong(format!("{name}: {error}")))?;
    if !listens {
        return Err(wrong(format!(
            "{name} is a connection: the socket unit has Accept=no"
        )));
    }
    let listener = UnixListener::from(socket);
    let address = listener
        .local_addr()
        .map_err(|error| wrong(format!("{name}: {error}")))?;
    let Some(path) = address.as_pathname().filter(|path| path.is_absolute()) else {
        return Err(wrong(format!(
            "{name} has no path: abstract and unnamed sockets have no owner and no mode"
        )));
    };
    let path = path.to_owned();
    Ok(Some(Passed { listener, path }))
}
