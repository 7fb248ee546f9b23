//! The link: the greeting, and supervisors that leave or send nonsense.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LIMIT, PROBE, Start, Zygote, ended};
use mpfork_proto::link::{
    Fork, Hello, Preload, Shutdown, SupervisorFrame, supervisor_frame, zygote_frame,
};
use nix::sys::signal::{Signal, kill};
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn the_greeting_tells_what_the_program_declares() {
    let mut zygote = Zygote::launch(PROBE, &[]);
    let welcome = zygote.greet();
    assert_eq!(welcome.version, 1);
    assert!(welcome.program.starts_with("mpfork "));
    let position = |name: &str| welcome.preloads.iter().position(|p| p.name == name);
    assert!(position("first") < position("second"));
    let second = &welcome.preloads[position("second").unwrap()];
    assert_eq!(second.after, ["first"]);
    assert_eq!(second.env, ["PROBE_VALUE"]);
    assert_eq!(second.time_limit.unwrap().seconds, 30);
    assert!(welcome.functions.contains(&"echo".to_owned()));
}

#[test]
fn versions_must_meet() {
    let hello = |version_min, version_max| Hello {
        version_min,
        version_max,
        ..Hello::default()
    };
    let mut zygote = Zygote::launch(PROBE, &[]);
    assert_eq!(zygote.greet_with(hello(0, 7)).version, 1);
    drop(zygote);
    let mut zygote = Zygote::launch(PROBE, &[]);
    let version = zygote.greet_with(hello(2, 3)).version;
    assert!(!(2..=3).contains(&version));
    assert!(zygote.hear().is_none());
    zygote.expect(1);
    assert!(zygote.finish().contains("speaks versions 2 to 3"));
}

/// What a program started by hand with this marker, and this as its standard input, finds of it.
fn by_hand(variable: &str, value: &str, input: impl Into<Stdio>) -> String {
    let output = Command::new(PROBE)
        .arg("environment")
        .env(variable, value)
        .stdin(input)
        .output()
        .unwrap();
    assert!(output.status.success(), "{variable}={value}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_marker_that_does_not_name_our_socket_is_taken_out_and_otherwise_ignored() {
    let inode = |file: &OwnedFd| rustix::fs::fstat(file).unwrap().st_ino;
    for variable in ["MPFORK_LINK", "MPFORK_WORKER"] {
        let ordinary = "None None\n";
        // No descriptors, those of files, and what is no marker.
        for value in [
            "0", "1", "2", "3", "77", "999", "-1", "x", "", ":", "0:0", "0:x", "999:1",
        ] {
            assert_eq!(by_hand(variable, value, Stdio::null()), ordinary);
        }
        let file = OwnedFd::from(File::open(PROBE).unwrap());
        let named = format!("0:{}", inode(&file));
        assert_eq!(by_hand(variable, &named, file), ordinary);
        // A socket of the right kind that is not the one.
        for value in ["0", "0:1", "0:18446744073709551615"] {
            let (theirs, _ours) = UnixStream::pair().unwrap();
            assert_eq!(by_hand(variable, value, OwnedFd::from(theirs)), ordinary);
        }
        // The one, by another number, and one that is no stream.
        let (theirs, _ours) = UnixStream::pair().unwrap();
        let theirs = OwnedFd::from(theirs);
        let named = format!("1:{}", inode(&theirs));
        assert_eq!(by_hand(variable, &named, theirs), ordinary);
        let (theirs, _ours) = UnixDatagram::pair().unwrap();
        let theirs = OwnedFd::from(theirs);
        let named = format!("0:{}", inode(&theirs));
        assert_eq!(by_hand(variable, &named, theirs), ordinary);
    }
    // The very one: nobody greets at its other end, so it ends without having run anything.
    let (theirs, ours) = UnixStream::pair().unwrap();
    drop(ours);
    let theirs = OwnedFd::from(theirs);
    let named = format!("0:{}", inode(&theirs));
    assert_eq!(by_hand("MPFORK_LINK", &named, theirs), "");
}

#[test]
fn a_supervisor_may_leave_at_any_time() {
    for stage in 0..3 {
        let mut zygote = Zygote::launch(PROBE, &[]);
        if stage > 0 {
            zygote.greet();
        }
        if stage > 1 {
            zygote.preload(&["first"]).1.unwrap();
        }
        zygote.link = None;
        assert!(ended(&zygote.pidfd, LIMIT));
    }
}

#[test]
fn garbage_ends_the_zygote_with_a_message() {
    let frame = |frame| {
        let frame = SupervisorFrame {
            descriptors: 0,
            frame,
        };
        mpfork_proto::frame::encode(&frame).unwrap()
    };
    let missing = SupervisorFrame {
        descriptors: 3,
        frame: Some(supervisor_frame::Frame::Fork(Default::default())),
    };
    let greeting = supervisor_frame::Frame::Hello(Hello::default());
    let list = supervisor_frame::Frame::Preload(Preload::default());
    let fork = supervisor_frame::Frame::Fork(Default::default());
    for (bytes, why) in [
        (b"\xff\xff\xff\xffgarbage".to_vec(), "over the limit"),
        (b"\0\0\0\x04\xff\xff\xff\xff".to_vec(), "does not decode"),
        (frame(None), "unknown kind"),
        (frame(Some(greeting)), "out of turn"),
        (frame(Some(list)), "out of turn"),
        (frame(Some(fork)), "without the worker's socket"),
        (
            mpfork_proto::frame::encode(&missing).unwrap(),
            "names 3 descriptors",
        ),
    ] {
        let mut zygote = Zygote::ready(&[], &[]);
        zygote.link().try_send(&bytes, &[]).unwrap();
        assert!(zygote.hear().is_none());
        zygote.expect(1);
        let output = zygote.finish();
        assert!(output.contains("mpfork zygote: "), "{output}");
        assert!(output.contains(why), "{output}");
    }
    // Before the greeting and before the list, too.
    let mut zygote = Zygote::launch(PROBE, &[]);
    zygote.say(supervisor_frame::Frame::Fork(Default::default()), &[]);
    assert!(zygote.hear().is_none());
    zygote.expect(1);
    drop(zygote);
    let mut zygote = Zygote::launch(PROBE, &[]);
    zygote.greet();
    zygote.say(supervisor_frame::Frame::Fork(Default::default()), &[]);
    assert!(zygote.hear().is_none());
    zygote.expect(1);
}

#[test]
fn the_link_ends_before_exit_handlers_run() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lingers = format!("PROBE_LINGERS={}", file.path().display());
    let mut zygote = Zygote::ready(&[&lingers], &["lingering"]);
    zygote.say(supervisor_frame::Frame::Shutdown(Shutdown {}), &[]);
    // From here on its supervisor can wait as long as it likes.
    assert!(zygote.hear().is_none());
    assert!(!ended(&zygote.pidfd, Duration::ZERO));
    file.close().unwrap();
    assert_eq!(zygote.finish(), "");
}

/// Who waits for a worker does not wait for spares.
#[test]
fn starts_come_before_spares_that_were_asked_for_earlier() {
    const SPARES: usize = 3;
    let mut zygote = Zygote::ready(&[], &[]);
    let pid = nix::unistd::Pid::from_raw(zygote.pid);
    // A machine that is busy may let spares become overdue.
    let came_first = (1..=5).any(|round| {
        // All of it is there when it looks.
        kill(pid, Signal::SIGSTOP).unwrap();
        let mut sockets = Vec::new();
        for number in (0..).take(SPARES) {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let spare = supervisor_frame::Frame::Fork(Fork {
                worker: round * 1_000 + number,
                spare: true,
                ..Fork::default()
            });
            zygote.say(spare, &[theirs.as_fd()]);
            sockets.push(ours);
        }
        let (worker, _control) = zygote.ask(Start::function("echo", b"x"));
        kill(pid, Signal::SIGCONT).unwrap();
        let mut order = Vec::new();
        while order.len() <= SPARES {
            if let zygote_frame::Frame::Forked(forked) = zygote.hear().expect("it is gone") {
                order.push(forked.worker);
            }
        }
        order[0] == worker
    });
    assert!(came_first, "spares were forked first each time");
}
