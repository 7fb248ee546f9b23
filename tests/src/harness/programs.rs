//! Where the programs under test are.

use std::path::PathBuf;

/// mpforkd.
pub const DAEMON: &str = "mpforkd-under-test";
/// A program with preloads, functions and hooks; also a client.
pub const TEST_PROGRAM: &str = "test-program";
/// The process around each daemon.
pub const KEEPER: &str = "test-keeper";

/// A program of this package, as it lies beside or above the test executable.
///
/// # Panics
/// When it was not built: `cargo test -p mpfork-tests` builds all of them.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "{name} is not beside {}: run `cargo build -p mpfork-tests --bins` first",
            own.display()
        )
    })
}

/// [`TEST_PROGRAM`]'s path.
#[must_use]
pub fn test_program() -> PathBuf {
    program(TEST_PROGRAM)
}

/// What the test program says of its build, and what it says after [`rebuild`].
pub const BUILDS: [&str; 2] = ["this is build one", "this is build two"];

/// Writes the test program as another build of it: with another build id, if it has one, and with
/// another text in it.
///
/// # Panics
/// When that can't be written.
pub fn rebuild(to: &std::path::Path) {
    // namesz, descsz, type and name of the note that holds the build id.
    const NOTE: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let mut bytes = std::fs::read(test_program()).unwrap();
    let [one, two] = BUILDS.map(str::as_bytes);
    for (old, place, new) in [(NOTE, NOTE.len(), &[0xab; 20][..]), (one, 0, two)] {
        let found: Vec<usize> = memchr::memmem::find_iter(&bytes, old).collect();
        for at in found {
            bytes[at + place..][..new.len()].copy_from_slice(new);
        }
    }
    install(&bytes, to, 0o755);
}

/// Writes a file that looks like a program without a build id, of this much code: it takes a while to
/// tell what it is. It can't be executed.
///
/// # Panics
/// When that can't be written.
pub fn slow_to_tell(to: &std::path::Path, size: u64) {
    use std::os::unix::fs::PermissionsExt as _;
    // The header, one part to be loaded, and the note that it knows the protocol: all there is.
    let mut elf = vec![0u8; 204];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (at, value) in [(16, 2u16), (18, 62), (52, 64), (54, 56), (56, 2), (58, 64)] {
        elf[at..][..2].copy_from_slice(&value.to_le_bytes());
    }
    let note = [(176, 7u32), (180, 8), (184, 1), (196, 1)];
    elf[188..194].copy_from_slice(b"mpfork");
    let words = [(20, 1), (64, 1), (68, 5), (120, 4), (124, 4)];
    for (at, value) in words.into_iter().chain(note) {
        elf[at..][..4].copy_from_slice(&value.to_le_bytes());
    }
    for (at, value) in [(32, 64u64), (96, size), (104, size), (128, 176), (152, 28)] {
        elf[at..][..8].copy_from_slice(&value.to_le_bytes());
    }
    let file = std::fs::File::create(to).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &elf, 0).unwrap();
    file.set_len(size).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    file.set_permissions(mode).unwrap();
}

/// Writes a file that is to be executed.
///
/// Another process does it: what another test of this one starts at the same time would for a moment
/// hold the file open for writing, and nobody could execute it.
///
/// # Panics
/// When it can't be written.
pub fn install(content: &[u8], to: &std::path::Path, mode: u32) {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut copy = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0\" && chmod \"$1\" \"$0\""])
        .arg(to)
        .arg(format!("{mode:o}"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    copy.stdin.take().unwrap().write_all(content).unwrap();
    assert!(copy.wait().unwrap().success());
}

/// Copies the test program.
///
/// # Panics
/// When that can't be written.
pub fn copy(to: &std::path::Path) {
    install(&std::fs::read(test_program()).unwrap(), to, 0o755);
}

/// A path short enough for a socket's address, as long as this lives.
#[derive(Debug)]
pub struct Short {
    path: PathBuf,
    _file: Option<rustix::fd::OwnedFd>,
}

impl Short {
    /// The path.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

/// A short path of a socket, if it is there.
#[must_use]
pub fn short(socket: &std::path::Path) -> Short {
    match mpfork_sys::sockets::shorter(socket) {
        Ok((file, path)) => Short {
            path,
            _file: Some(file),
        },
        Err(_) => Short {
            path: socket.to_owned(),
            _file: None,
        },
    }
}
