//! Asking a program what it declares, without the daemon.

use super::Program;
use crate::error::Error;
use mpfork_proto::frame::{FrameBuffer, encode};
use mpfork_proto::link::supervisor_frame::Frame as Request;
use mpfork_proto::link::zygote_frame::Frame as Answer;
use mpfork_proto::link::{Hello, LINK_ENV, SupervisorFrame, VERSIONS, Welcome, ZygoteFrame};
use mpfork_sys::spawn::{Launch, spawn};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What a program declares.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Description {
    /// Its preloads' names in load order.
    pub preloads: Vec<String>,
    /// The environment variables they read.
    pub env: Vec<String>,
    /// The functions it registered.
    pub functions: Vec<String>,
}

/// A program that links mpfork answers within milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// Starts the program as a zygote, asks what it declares, and lets it go. Nothing is preloaded.
///
/// # Errors
/// [`Error::BadProgram`] when it does not answer as a program does that calls `freeze_support()`
/// first thing in `main`.
pub fn describe(program: &Program, args: &[OsString]) -> Result<Description, Error> {
    let bad = |why: String| Error::BadProgram {
        program: program.path().to_owned(),
        why,
    };
    let system = |error: std::io::Error| bad(error.to_string());
    // Before it is executed: the daemon would refuse it afterwards.
    let mode = rustix::fs::fstat(program.file())
        .map_err(|error| system(error.into()))?
        .st_mode;
    if mode & 0o6000 != 0 {
        return Err(bad("it is set-user-id or set-group-id".to_owned()));
    }
    program.expect_marked()?;
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|error| bad(error.to_string()));
    let mut argv = vec![text(program.path().as_os_str().as_bytes())?];
    for arg in args {
        argv.push(text(arg.as_bytes())?);
    }
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(system)?;
    let (ours, theirs) = UnixStream::pair().map_err(system)?;
    let pid = spawn(&Launch {
        program: program.file(),
        argv: &argv,
        room: 0,
        env: &[],
        input: null.as_fd(),
        output: null.as_fd(),
        link: theirs.as_fd(),
        variable: LINK_ENV,
        door: None,
        session: true,
        huge_pages: false,
    })
    .map_err(system)?;
    drop(theirs);
    let welcome = ask(ours);
    end(pid);
    let welcome = welcome.map_err(bad)?;
    let mut description = Description {
        functions: welcome.functions,
        ..Description::default()
    };
    for preload in welcome.preloads {
        description.preloads.push(preload.name);
        description.env.extend(preload.env);
    }
    description.env.sort_unstable();
    description.env.dedup();
    Ok(description)
}

fn ask(mut link: UnixStream) -> Result<Welcome, String> {
    let hello = SupervisorFrame {
        descriptors: 0,
        frame: Some(Request::Hello(Hello {
            version_min: VERSIONS.0,
            version_max: VERSIONS.1,
            ..Hello::default()
        })),
    };
    let hello = encode(&hello).map_err(|error| error.to_string())?;
    let ended = "it ended without an answer: does it call freeze_support() first thing in main?";
    link.write_all(&hello).map_err(|_| ended)?;
    let deadline = Instant::now() + LIMIT;
    let mut frames = FrameBuffer::default();
    let mut bytes = [0; 4096];
    loop {
        let frame = frames.take::<ZygoteFrame>();
        match frame.map_err(|error| error.to_string())? {
            None => {}
            Some(ZygoteFrame {
                frame: Some(Answer::Welcome(welcome)),
                ..
            }) => return Ok(welcome),
            Some(ZygoteFrame {
                frame: Some(Answer::PreloadFailed(failed)),
                ..
            }) => return Err(failed.message),
            Some(_) => return Err("it answered something else".to_owned()),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let late = || format!("it did not answer within {} s", LIMIT.as_secs());
        if left.is_zero() {
            return Err(late());
        }
        link.set_read_timeout(Some(left))
            .map_err(|error| error.to_string())?;
        match link.read(&mut bytes) {
            Ok(0) => return Err(ended.to_owned()),
            Ok(count) => frames.extend(&bytes[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(late()),
            Err(_) => return Err(ended.to_owned()),
        }
    }
}

/// It has nothing to finish; it is our child, so its pid is its own until it is reaped.
fn end(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
        let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
    }
}
