//! What goes wrong.

use mpfork_proto::frame::encode;
use mpfork_proto::link::{Welcome, ZygoteFrame, zygote_frame};
use std::io::Write as _;

/// Whether this is to go wrong in this template.
pub(crate) fn fault(name: &str) -> bool {
    std::env::var_os("TEST_FAULT").is_some_and(|fault| fault == name)
}

/// A variable's value, if it is set.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Adds a line to the file that a variable names, if it does.
pub(crate) fn note(variable_name: &str, line: &str) -> std::io::Result<()> {
    let Some(path) = variable(variable_name) else {
        return Ok(());
    };
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path)?;
    writeln!(file, "{line}")
}

/// Waits for ever.
pub(crate) fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

/// Faults of programs that are no zygotes.
pub(crate) fn before_freeze_support() {
    if fault("early-thread") {
        let thread = std::thread::Builder::new().name("early".to_owned());
        let _ = thread.spawn(|| hang());
    }
    if fault("early-exit") {
        println!("leaving early");
        leave(3);
    }
    if fault("silent") {
        hang();
    }
    if fault("other-version") {
        speak_another_version();
    }
}

#[allow(clippy::exit)]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

/// Answers the greeting in a version of the link that nobody speaks.
fn speak_another_version() -> ! {
    let link = std::env::var_os("MPFORK_LINK").unwrap_or_default();
    if let Some(socket) = mpfork_sys::descriptors::adopt_named(&link) {
        let welcome = ZygoteFrame {
            descriptors: 0,
            frame: Some(zygote_frame::Frame::Welcome(Welcome {
                version: 99,
                program: "test-program of another time".to_owned(),
                ..Welcome::default()
            })),
        };
        let mut socket = std::os::unix::net::UnixStream::from(socket);
        let _ = socket.write_all(&encode(&welcome).unwrap_or_default());
        // Until the supervisor has seen enough.
        let _ = std::io::Read::read_to_end(&mut socket, &mut Vec::new());
    }
    leave(4)
}
