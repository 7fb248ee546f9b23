//! Executing a program as a zygote or as a worker: by descriptor where the system can, in a session
//! or a group of its own, with nothing inherited but what is named.

use crate::platform::spawn as platform;
use crate::{arguments, descriptors, malloc_tunables};
use std::ffi::{CStr, CString, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

/// The number under which the program finds its link, or a worker its own socket.
pub const LINK_NUMBER: RawFd = 3;
/// The number under which a worker finds the door of its zygote.
pub const DOOR_NUMBER: RawFd = 4;

/// What to execute.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The open program file.
    pub program: BorrowedFd<'a>,
    /// The arguments, the program's name first.
    pub argv: &'a [CString],
    /// How many arguments more a worker may have that goes on with `main`; for programs that take the
    /// room only: see [`arguments`].
    pub room: usize,
    /// The environment, as NAME=value, but for `variable`.
    pub env: &'a [CString],
    /// Standard input.
    pub input: BorrowedFd<'a>,
    /// Standard output and standard error.
    pub output: BorrowedFd<'a>,
    /// What becomes descriptor [`LINK_NUMBER`].
    pub link: BorrowedFd<'a>,
    /// The variable that tells the program of it, in a form that
    /// [`adopt_named`](crate::descriptors::adopt_named) reads.
    pub variable: &'a str,
    /// What becomes descriptor [`DOOR_NUMBER`].
    pub door: Option<BorrowedFd<'a>>,
    /// Whether the process leads a session of its own, or a process group in the caller's.
    pub session: bool,
    /// Whether the program's malloc is told to use huge pages, which the program then takes out of its
    /// environment: see [`malloc_tunables`].
    pub huge_pages: bool,
}

/// Executes the program in a new session or group, with default signal dispositions and no signal blocked;
/// returns its pid. It is a child of the calling *thread* as far as its parent-death signal goes.
///
/// Descriptors of the caller that are not close-on-exec would be inherited on Linux: all of ours are.
///
/// # Errors
/// As posix_spawn(3): EACCES, ENOENT, ENOEXEC, EAGAIN, ENOMEM.
pub fn spawn(launch: &Launch<'_>) -> io::Result<i32> {
    // The numbers 0 to 4 are laid out anew in the child: the sources must not be among them.
    let above = |descriptor: BorrowedFd<'_>| -> io::Result<OwnedFd> {
        Ok(rustix::io::fcntl_dupfd_cloexec(
            descriptor,
            DOOR_NUMBER + 1,
        )?)
    };
    let program = above(launch.program)?;
    let input = above(launch.input)?;
    let output = above(launch.output)?;
    let link = above(launch.link)?;
    let door = launch.door.map(above).transpose()?;
    let path = platform::path_of(program.as_fd())?;

    let mut actions = FileActions::new()?;
    actions.place(input.as_fd(), 0)?;
    actions.place(output.as_fd(), 1)?;
    actions.place(output.as_fd(), 2)?;
    actions.place(link.as_fd(), LINK_NUMBER)?;
    if let Some(door) = &door {
        actions.place(door.as_fd(), DOOR_NUMBER)?;
    }
    let attributes = Attributes::new(launch.session)?;

    // The mark takes one place of the room.
    let mark = std::iter::once(arguments::MARK).chain(std::iter::repeat(c""));
    let argv = launch.argv.iter().map(CString::as_c_str);
    let argv = pointers(argv.chain(mark.take(launch.room)));
    let named = descriptors::name(launch.link, LINK_NUMBER)?;
    let named = CString::new(format!("{}={named}", launch.variable))?;
    let tunables = match launch.huge_pages {
        true => malloc_tunables::with_huge_pages(launch.env),
        false => None,
    };
    let env = launch.env.iter().enumerate().map(|(index, entry)| {
        let changed = tunables
            .as_ref()
            .filter(|changed| changed.index == Some(index));
        changed.map_or(entry.as_c_str(), |changed| changed.entry.as_c_str())
    });
    let added = tunables.as_ref().filter(|added| added.index.is_none());
    let added = added.map(|added| added.entry.as_c_str());
    let env = pointers(env.chain(added).chain([named.as_c_str()]));
    let mut pid: libc::pid_t = 0;
    // SAFETY: path, the two arrays (null-terminated, of strings that outlive the call), the actions
    // and the attributes (both initialised) are valid for the whole call; the child shares our memory
    // only until it executes the program, while this thread is suspended, and runs libc's code alone.
    let result = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            path.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            argv.as_ptr(),
            env.as_ptr(),
        )
    };
    check(result)?;
    Ok(pid)
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*mut c_char> {
    strings
        .map(|string| string.as_ptr().cast_mut())
        .chain([std::ptr::null_mut()])
        .collect()
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: init writes the structure it is given.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: init has succeeded.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn place(&mut self, descriptor: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
        // SAFETY: the structure is initialised; the call stores two numbers in it.
        check(unsafe {
            libc::posix_spawn_file_actions_adddup2(&raw mut self.0, descriptor.as_raw_fd(), number)
        })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: the structure is initialised and not used afterwards.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new(session: bool) -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: init writes the structure it is given.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: init has succeeded.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let all = nix::sys::signal::SigSet::all();
        let none = nix::sys::signal::SigSet::empty();
        // SAFETY: the structure is initialised; the set is copied into it.
        check(unsafe { libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, all.as_ref()) })?;
        // SAFETY: as above.
        check(unsafe { libc::posix_spawnattr_setsigmask(&raw mut attributes.0, none.as_ref()) })?;
        // Without a number the group is the process's own.
        let place = match session {
            true => platform::SETSID,
            false => libc::POSIX_SPAWN_SETPGROUP,
        };
        let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK | place;
        let flags = libc::c_short::try_from(flags).map_err(io::Error::other)? | platform::FLAGS;
        // SAFETY: the structure is initialised.
        check(unsafe { libc::posix_spawnattr_setflags(&raw mut attributes.0, flags) })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the structure is initialised and not used afterwards.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read as _;

    #[test]
    fn the_program_gets_what_is_named_and_nothing_else() {
        let shell = File::open("/bin/sh").unwrap();
        let null = File::open("/dev/null").unwrap();
        let (mut read, write) = std::io::pipe().unwrap();
        let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let script = "echo $A; echo $0 $1; set -- /proc/self/fd/*; echo $*; ps -o sid= -p $$ | tr -d ' '; echo $$; echo $LINK; env | sort | head -c 3";
        let argv = ["name", "-c", script, "zero", "one"].map(|text| CString::new(text).unwrap());
        let env = [
            CString::new("A=b c").unwrap(),
            CString::new("PATH=/bin:/usr/bin").unwrap(),
        ];
        let pid = spawn(&Launch {
            program: shell.as_fd(),
            argv: &argv,
            room: 0,
            env: &env,
            input: null.as_fd(),
            output: write.as_fd(),
            link: theirs.as_fd(),
            variable: "LINK",
            door: None,
            session: true,
            huge_pages: false,
        })
        .unwrap();
        drop(write);
        let mut output = String::new();
        read.read_to_string(&mut output).unwrap();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[0], "b c");
        assert_eq!(lines[1], "zero one");
        for number in lines[2].split(' ') {
            let number: i32 = number.rsplit('/').next().unwrap().parse().unwrap();
            // The shell holds the directory it lists.
            assert!(number <= LINK_NUMBER + 1 || number >= 10, "{output}");
        }
        assert_eq!(lines[3], pid.to_string(), "a session of its own");
        assert_eq!(lines[4], pid.to_string());
        assert!(lines[5].starts_with("3:"), "{output}");
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::wait::waitpid(pid, None).unwrap();
    }

    #[test]
    fn a_file_that_is_no_program_is_refused() {
        let null = File::open("/dev/null").unwrap();
        let error = spawn(&Launch {
            program: null.as_fd(),
            argv: &[CString::new("null").unwrap()],
            room: 0,
            env: &[],
            input: null.as_fd(),
            output: null.as_fd(),
            link: null.as_fd(),
            variable: "LINK",
            door: None,
            session: true,
            huge_pages: false,
        })
        .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{error}");
    }
}
