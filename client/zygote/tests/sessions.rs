//! Workers in sessions of their own, with and without a terminal.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Start, Zygote, stat};
use mpfork_proto::link::worker_report;

#[test]
fn a_session_of_its_own() {
    let mut zygote = Zygote::ready(&[], &[]);
    for _ in 0..20 {
        let start = Start::function("wait", b"\0").state(|state| state.new_session = true);
        let (input, hold) = std::io::pipe().unwrap();
        let mut worker = zygote.start(start.place(input, 0));
        let Some(worker_report::Report::Applied(_)) = worker
            .control
            .receive::<mpfork_proto::link::WorkerReport>()
            .unwrap()
            .report
        else {
            panic!("no report");
        };
        let fields = stat(worker.pid).unwrap();
        assert_eq!(fields[2], worker.pid.to_string(), "group");
        assert_eq!(fields[3], worker.pid.to_string(), "session");
        drop(hold);
        assert_eq!(zygote.exited(&worker).status, Some(0));
    }
}

#[test]
fn a_controlling_terminal() {
    let mut zygote = Zygote::ready(&[], &[]);
    let open = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
    let ours = rustix::pty::openpt(open).unwrap();
    rustix::pty::unlockpt(&ours).unwrap();
    let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let theirs = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
    let start = Start::command("/bin/sh", &["-c", "echo by name >/dev/tty"])
        .state(|state| {
            state.new_session = true;
            state.controlling_terminal = true;
        })
        .place(theirs.try_clone().unwrap(), 0);
    assert_eq!(zygote.run(start).code(), 0);
    let mut bytes = [0; 64];
    let count = rustix::io::read(&ours, &mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"by name\r\n");
    drop(theirs);

    let without = Start::command("/bin/true", &[]).state(|state| {
        state.new_session = true;
        state.controlling_terminal = true;
    });
    let outcome = zygote.run(without);
    assert_eq!(outcome.start_failed().what, "controlling terminal");
    assert_eq!(outcome.code(), 126);
}
