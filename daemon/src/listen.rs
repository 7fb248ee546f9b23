//! The socket: one daemon for each, open to its user alone from the first instant.

use crate::service::activation::Passed;
use mpfork_sys::descriptors::path_through;
use mpfork_sys::sockets::{self, LONGEST_ADDRESS};
use rustix::fs::{FileType, Mode, OFlags};
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Why the socket can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The folder is not safe.
    #[error("can't serve in {folder}: {detail}")]
    Folder {
        /// The socket's folder.
        folder: PathBuf,
        /// What is wrong with it, and what to do.
        detail: String,
    },
    /// Another daemon serves it.
    #[error("another mpforkd{} serves {socket}; stop it first, or use another --socket", .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Taken {
        /// The socket.
        socket: PathBuf,
        /// The other daemon.
        pid: Option<i32>,
    },
    /// The path is something else than a socket.
    #[error("{socket} exists and is no socket; it is not touched")]
    NoSocket {
        /// The path.
        socket: PathBuf,
    },
    /// The socket that the service manager passed can't be served.
    #[error("can't serve the socket that was passed (LISTEN_FDS): {detail}")]
    Passed {
        /// What is wrong with it, and what to do.
        detail: String,
    },
    /// A system call failed.
    #[error("can't {doing} {path}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The listening socket with the lock that makes it ours; both go when dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) listener: UnixListener,
    pub(crate) socket: PathBuf,
    folder: OwnedFd,
    name: PathBuf,
    /// The service manager made the socket, and keeps it for the next mpforkd.
    passed: bool,
    _lock: File,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.passed {
            return;
        }
        // The lock file stays: removing it would let two daemons lock two files of the same name.
        let _ = rustix::fs::unlinkat(&self.folder, &self.name, rustix::fs::AtFlags::empty());
    }
}

/// Takes the lock, removes a stale socket, and listens.
pub(crate) fn listen(socket: &Path) -> Result<Listening, ListenError> {
    let (folder, name) = split(socket)?;
    if !folder.exists() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(folder)
            .map_err(system("create the folder", folder))?;
    }
    let handle = open_folder(folder)?;
    let lock = lock(&handle, &name, socket)?;
    remove_stale(&handle, &name, socket)?;
    let listener = bind(&handle, &name, socket).map_err(system("listen on", socket))?;
    Ok(Listening {
        listener,
        socket: socket.to_owned(),
        folder: handle,
        name,
        passed: false,
        _lock: lock,
    })
}

/// Listens on a socket that was passed, by the same rules: a folder and a socket of the user's alone, and
/// one daemon.
pub(crate) fn adopt(passed: Passed) -> Result<Listening, ListenError> {
    let socket = passed.path.as_path();
    let (folder, name) = split(socket)?;
    let handle = open_folder(folder)?;
    check_socket(&handle, &name, socket)?;
    let lock = lock(&handle, &name, socket)?;
    let listener = passed
        .listener
        .set_nonblocking(true)
        .and_then(|()| UnixListener::from_std(passed.listener))
        .map_err(system("listen on", socket))?;
    Ok(Listening {
        listener,
        socket: socket.to_owned(),
        folder: handle,
        name,
        passed: true,
        _lock: lock,
    })
}

fn system(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> ListenError + use<> {
    let path = path.to_owned();
    move |source| ListenError::System {
        doing,
        path: path.clone(),
        source,
    }
}

/// The socket's folder, and its name there.
fn split(socket: &Path) -> Result<(&Path, PathBuf), ListenError> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(system("use as a socket", socket)(
            io::ErrorKind::InvalidInput.into(),
        ));
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    Ok((folder, PathBuf::from(name)))
}

/// A socket that somebody else made is as safe as one of ours.
fn check_socket(folder: &OwnedFd, name: &Path, socket: &Path) -> Result<(), ListenError> {
    let wrong = |detail: String| ListenError::Passed { detail };
    let path = socket.display();
    let stat = rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| wrong(format!("{path}: {}", io::Error::from(error))))?;
    let own = nix::unistd::geteuid().as_raw();
    if !FileType::from_raw_mode(stat.st_mode).is_socket() {
        Err(wrong(format!("{path} is no socket any more")))
    } else if stat.st_uid != own {
        Err(wrong(format!(
            "{path} belongs to user {}, and this is user {own}: set SocketUser= to it",
            stat.st_uid
        )))
    } else if stat.st_mode & 0o022 != 0 {
        // Whoever may write to a socket may connect to it.
        Err(wrong(format!(
            "others may connect to {path} (mode {:o}): set SocketMode=0600",
            stat.st_mode & 0o7777
        )))
    } else {
        Ok(())
    }
}

/// Opens the socket's folder and checks that nobody else can put things there.
fn open_folder(folder: &Path) -> Result<OwnedFd, ListenError> {
    let wrong = |detail: String| ListenError::Folder {
        folder: folder.to_owned(),
        detail,
    };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let handle = rustix::fs::open(folder, flags, Mode::empty()).map_err(|error| {
        if error == rustix::io::Errno::LOOP || error == rustix::io::Errno::NOTDIR {
            wrong("it is a symbolic link, or no folder; name the folder itself".to_owned())
        } else {
            wrong(io::Error::from(error).to_string())
        }
    })?;
    let stat =
        rustix::fs::fstat(&handle).map_err(|error| wrong(io::Error::from(error).to_string()))?;
    let own = nix::unistd::geteuid().as_raw();
    if stat.st_uid != own {
        return Err(wrong(format!(
            "it belongs to user {}, and this is user {own}; use a folder of your own",
            stat.st_uid
        )));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(wrong(format!(
            "others may write there (mode {:o}); use a folder of mode 0700",
            stat.st_mode & 0o7777
        )));
    }
    Ok(handle)
}

/// Locks `NAME.lock` beside the socket, for life.
fn lock(folder: &OwnedFd, name: &Path, socket: &Path) -> Result<File, ListenError> {
    let mut lock_name = name.as_os_str().to_owned();
    lock_name.push(".lock");
    let system = |source: io::Error| ListenError::System {
        doing: "lock",
        path: socket.with_file_name(&lock_name),
        source,
    };
    let path = path_through(folder.as_fd())
        .map_err(system)?
        .join(&lock_name);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
        .map_err(system)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(ListenError::Taken {
                socket: socket.to_owned(),
                pid: text.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(system(error)),
    }
    let write = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(system)?;
    Ok(file)
}

/// With the lock held, a socket that lies there is no other mpforkd's; unless somebody else listens on
/// it, it is removed.
fn remove_stale(folder: &OwnedFd, name: &Path, socket: &Path) -> Result<(), ListenError> {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    match rustix::fs::statat(folder, name, flags) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_socket() => {}
        _ => {
            return Err(ListenError::NoSocket {
                socket: socket.to_owned(),
            });
        }
    }
    if is_served(folder, name) {
        return Err(ListenError::System {
            doing: "replace the socket of another program",
            path: socket.to_owned(),
            source: io::ErrorKind::AddrInUse.into(),
        });
    }
    rustix::fs::unlinkat(folder, name, rustix::fs::AtFlags::empty()).map_err(|error| {
        ListenError::System {
            doing: "remove the stale socket",
            path: socket.to_owned(),
            source: error.into(),
        }
    })
}

/// Whether somebody listens: a connection comes about, or there are too many already.
fn is_served(folder: &OwnedFd, name: &Path) -> bool {
    match sockets::connect_in(folder.as_fd(), name) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

fn bind(folder: &OwnedFd, name: &Path, socket: &Path) -> io::Result<UnixListener> {
    // The address of a long path goes through the folder's descriptor, and a long name comes later.
    let through = path_through(folder.as_fd())?;
    let short = PathBuf::from(format!(".mpforkd-{}", std::process::id()));
    let (path, rename) = if socket.as_os_str().len() <= LONGEST_ADDRESS {
        (socket.to_owned(), false)
    } else if through.join(name).as_os_str().len() <= LONGEST_ADDRESS {
        (through.join(name), false)
    } else {
        (through.join(&short), true)
    };
    // The mode holds from the first instant: nobody can connect before a later chmod. One thread runs
    // so far, so nobody else creates files under this mask.
    let before = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener?;
    if rename && let Err(error) = rustix::fs::renameat(folder, &short, folder, name) {
        let _ = rustix::fs::unlinkat(folder, &short, rustix::fs::AtFlags::empty());
        return Err(error.into());
    }
    Ok(listener)
}
