//! Commands: the worker becomes another program.

use super::report;
use mpfork_proto::link::ExecFailed;
use mpfork_proto::v1;
use mpfork_sys::exit::exit_now;
use nix::errno::Errno;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

/// Where programs are searched when there is no PATH.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

pub(super) struct Command {
    program: Vec<u8>,
    argv: Vec<Vec<u8>>,
}

impl Command {
    pub(super) fn new(command: v1::task::Command) -> Self {
        let arg0 = command.arg0.unwrap_or_else(|| command.program.clone());
        Self {
            program: command.program,
            argv: std::iter::once(arg0).chain(command.args).collect(),
        }
    }

    /// Executes the program. The worker's own socket closes by that; when it fails it carries the
    /// reason.
    pub(super) fn run(self, control: &OwnedFd) -> ! {
        let program = String::from_utf8_lossy(&self.program).into_owned();
        let errno = self.execute();
        report::exec_failed(
            control,
            ExecFailed {
                errno: errno as i32,
                message: format!("can't execute `{program}`: {}", why(errno)),
            },
        );
        // As shells do.
        exit_now(match errno {
            Errno::EACCES | Errno::ENOEXEC => 126,
            _ => 127,
        })
    }

    /// As `std::process::Command` does it: as execvp(3), but for a file that is no program and does
    /// not begin with `#!`. That is an error, and not given to a shell. Returns why nothing was
    /// executed.
    fn execute(self) -> Errno {
        let argv: Result<Vec<CString>, _> = self.argv.into_iter().map(CString::new).collect();
        let Ok(argv) = argv else {
            return Errno::EINVAL;
        };
        if self.program.is_empty() {
            return Errno::ENOENT;
        }
        if self.program.contains(&b'/') {
            return execute(self.program, &argv);
        }
        let path =
            std::env::var_os("PATH").map_or_else(|| DEFAULT_PATH.to_vec(), OsStringExt::into_vec);
        let mut refused = false;
        for directory in path.split(|byte| *byte == b':') {
            let mut candidate = directory.to_vec();
            // An empty entry is the working directory.
            if !directory.is_empty() {
                candidate.push(b'/');
            }
            candidate.extend_from_slice(&self.program);
            match execute(candidate, &argv) {
                // There may be another further on.
                Errno::EACCES => refused = true,
                Errno::ENOENT
                | Errno::ENOTDIR
                | Errno::ESTALE
                | Errno::ENODEV
                | Errno::ETIMEDOUT
                | Errno::ENAMETOOLONG => {}
                errno => return errno,
            }
        }
        if refused {
            Errno::EACCES
        } else {
            Errno::ENOENT
        }
    }
}

fn why(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOEXEC => "it is neither a program of this system nor a script that begins with #!",
        errno => errno.desc(),
    }
}

fn execute(path: Vec<u8>, argv: &[CString]) -> Errno {
    match CString::new(path) {
        Ok(path) => match nix::unistd::execv(&path, argv) {
            Ok(never) => match never {},
            Err(errno) => errno,
        },
        Err(_) => Errno::EINVAL,
    }
}
