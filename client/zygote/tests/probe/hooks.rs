//! Hooks, and a supervisor to be killed.

use mpfork_proto::frame::{self, FrameBuffer};
use mpfork_proto::link::{
    Hello, LINK_ENV, Preload, SupervisorFrame, ZygoteFrame, supervisor_frame,
};
use mpfork_sys::spawn::{Launch, spawn};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

/// The hooks that ran, in order.
static RAN: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn ran(name: &'static str) {
    RAN.lock().unwrap_or_else(|e| e.into_inner()).push(name);
}

pub(crate) fn order() -> String {
    let ran = RAN.lock().unwrap_or_else(|e| e.into_inner());
    ran.join(",")
}

fn asked(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

mpfork_zygote::after_preload!(freeze);
mpfork_zygote::before_fork!(before_each);
mpfork_zygote::after_fork!(last, name = "last-after", after = ["first-after"]);
mpfork_zygote::after_fork!(first, name = "first-after");
mpfork_zygote::at_worker_exit!(at_exit);
mpfork_zygote::at_worker_exit!(
    || println!("<exit 2>"),
    name = "second",
    after = ["at_exit"]
);

fn freeze() -> Result<(), std::io::Error> {
    match std::env::var("PROBE_FREEZE").as_deref() {
        Ok("notes") => ran("freeze"),
        Ok("fails") => return Err(std::io::Error::other("can't freeze")),
        Ok("panics") => panic!("frozen"),
        Ok("threads") => {
            let thread = std::thread::Builder::new().name("thawed".to_owned());
            thread.spawn(|| std::thread::sleep(std::time::Duration::from_secs(600)))?;
        }
        _ => {}
    }
    Ok(())
}

fn before_each() -> Result<(), std::io::Error> {
    ran("before");
    super::preloads::give_back();
    super::memory::scatter();
    if asked("PROBE_BEFORE_FAILS") {
        return Err(std::io::Error::other("not now"));
    }
    if asked("PROBE_BEFORE_PANICS") {
        panic!("never");
    }
    if asked("PROBE_LATE_THREAD") {
        let thread = std::thread::Builder::new().name("late".to_owned());
        thread.spawn(|| std::thread::sleep(std::time::Duration::from_secs(600)))?;
    }
    if let Some(path) = std::env::var_os("PROBE_THIEF")
        && std::fs::exists(path)?
    {
        steal()?;
    }
    Ok(())
}

/// Ends and reaps all children of this process, workers too.
fn steal() -> Result<(), std::io::Error> {
    let id = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/self/task/{id}/children"))?;
    for child in children.split_whitespace() {
        let child = Pid::from_raw(child.parse().map_err(std::io::Error::other)?);
        nix::sys::signal::kill(child, Signal::SIGKILL)?;
        nix::sys::wait::waitpid(child, None)?;
    }
    Ok(())
}

fn first() {
    ran("first");
}

fn last() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ran("last");
    match std::env::var("PROBE_AFTER").as_deref() {
        Ok("fails") => Err("can't reopen".into()),
        Ok("panics") => panic!("can't reseed"),
        _ => Ok(()),
    }
}

fn at_exit() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    print!("<exit 1>");
    match std::env::var("PROBE_AT_EXIT").as_deref() {
        Ok("fails") => Err("can't close".into()),
        Ok("panics") => panic!("can't end"),
        _ => Ok(()),
    }
}

/// Executes this program as a zygote with a preload that never ends, tells its pid, and waits to be
/// killed.
pub(crate) fn supervise() {
    if let Err(error) = try_supervise() {
        eprintln!("{error}");
    }
}

fn try_supervise() -> Result<(), Box<dyn std::error::Error>> {
    let program = File::open("/proc/self/exe")?;
    let null = File::open("/dev/null")?;
    let (mut ours, theirs) = UnixStream::pair()?;
    let pid = spawn(&Launch {
        program: program.as_fd(),
        argv: &[CString::new("probe")?],
        room: 0,
        env: &[],
        input: null.as_fd(),
        output: null.as_fd(),
        link: theirs.as_fd(),
        variable: LINK_ENV,
        door: None,
        session: true,
        huge_pages: false,
    })?;
    drop(theirs);
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        ..Hello::default()
    };
    let preload = Preload {
        names: vec!["slow".to_owned()],
        ..Preload::default()
    };
    for frame in [
        supervisor_frame::Frame::Hello(hello),
        supervisor_frame::Frame::Preload(preload),
    ] {
        ours.write_all(&frame::encode(&SupervisorFrame {
            descriptors: 0,
            frame: Some(frame),
        })?)?;
    }
    let mut frames = FrameBuffer::default();
    let mut seen = 0;
    // Welcome and Progress: the preload has begun.
    while seen < 2 {
        let mut bytes = [0; 1024];
        let count = ours.read(&mut bytes)?;
        frames.extend(&bytes[..count]);
        while frames.take::<ZygoteFrame>()?.is_some() {
            seen += 1;
        }
    }
    println!("{pid}");
    std::thread::sleep(std::time::Duration::from_secs(600));
    Ok(())
}
