//! The descriptors a worker starts with.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Start, Zygote, read_all};
use mpfork_proto::frame;
use mpfork_proto::link::{Fork, SupervisorFrame, assigned_task, supervisor_frame, zygote_frame};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

#[test]
fn descriptors_at_any_numbers() {
    let mut zygote = Zygote::ready(&[], &[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().canonicalize().unwrap();
    let path = path.to_str().unwrap();
    let descriptors = |zygote: &mut Zygote, start: Start| {
        let text = zygote.text(start);
        let lines = text.lines().map(|line| {
            let (number, what) = line.split_once(' ').unwrap();
            (number.parse::<u32>().unwrap(), what.to_owned())
        });
        lines.collect::<Vec<_>>()
    };
    // All the numbers in use in a young worker, reversed against the order they arrive in.
    let mut start = Start::function("descriptors", b".");
    for number in (3..30).rev() {
        let file = if number % 2 == 0 {
            File::open(path).unwrap()
        } else {
            File::open("/dev/zero").unwrap()
        };
        start = start.place(file, number);
    }
    let found = descriptors(&mut zygote, start);
    for number in 3..30 {
        let what = if number % 2 == 0 { path } else { "/dev/zero" };
        assert!(found.contains(&(number, what.to_owned())), "{found:?}");
    }
    assert_eq!(found.len(), 3 + 27 + 2);

    // One descriptor at several numbers, the channel among them.
    let mut start = Start::function("descriptors", b".").place(File::open(path).unwrap(), 5);
    for (index, target) in [(1, 7), (1, 0), (0, 9)] {
        let placed = mpfork_proto::link::assigned_state::Placed { index, target };
        start.state.placed.push(placed);
    }
    let found = descriptors(&mut zygote, start);
    for number in [0, 5, 7] {
        assert!(found.contains(&(number, path.to_owned())), "{found:?}");
    }
    assert!(
        found
            .iter()
            .any(|(n, what)| *n == 9 && what.starts_with("socket:"))
    );

    // Many, more than one message carries.
    let mut start = Start::function("descriptors", b".");
    for number in 100..400 {
        start = start.place(File::open(path).unwrap(), number);
    }
    assert_eq!(descriptors(&mut zygote, start).len(), 3 + 300 + 2);

    // Nonsense.
    let null = || File::open("/dev/null").unwrap();
    let start = || Start::function("echo", b"x");
    for (start, what) in [
        (start().place(null(), 5).place(null(), 5), "descriptors"),
        (start().place(null(), u32::MAX), "descriptors"),
        (start().place(null(), 1 << 30), "descriptors"),
        (start().state(|state| state.cwd = Some(4)), "assignment"),
    ] {
        let outcome = zygote.run(start);
        assert_eq!(outcome.start_failed().what, what);
        assert_eq!(outcome.code(), 126);
    }
}

#[test]
fn standard_streams() {
    let mut zygote = Zygote::ready(&[], &[]);
    let (input, mut write) = std::io::pipe().unwrap();
    write.write_all(b"from the client").unwrap();
    drop(write);
    let (start, output) = Start::command("/bin/cat", &[]).place(input, 0).piped();
    assert_eq!(zygote.run(start).code(), 0);
    assert_eq!(read_all(output), "from the client");
    // Nothing of a worker reaches the zygote's own output.
    zygote.run(Start::function("print", b"."));
    assert_eq!(zygote.finish(), "");
}

#[test]
fn what_a_zygote_opens_is_not_its_preloads() {
    let mut zygote = Zygote::ready(&[], &["lent"]);
    let start = || Start::function("descriptors", b".");
    // Before the first fork a hook closes what the preload had opened.
    zygote.text(start());
    // Its number is free, and the socket of a spare gets it, which is forked when nobody else is.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let spare = supervisor_frame::Frame::Fork(Fork {
        worker: 1_000,
        spare: true,
        ..Fork::default()
    });
    zygote.say(spare, &[theirs.as_fd()]);
    let found = zygote.text(start());
    // The standard ones, its own socket and the channel.
    assert_eq!(found.lines().count(), 3 + 2, "{found}");
    drop(ours);
}

#[test]
fn the_channel_has_no_number_of_what_was_open_before() {
    let mut zygote = Zygote::ready(&["PROBE_EARLY_FILE=1"], &[]);
    for before in 0..8 {
        let mut start = Start::function("write-early", b".");
        // Before the channel as many others come.
        for _ in 0..before {
            let null = File::open("/dev/null").unwrap();
            start.descriptors.insert(0, null.into());
        }
        let assigned_task::Task::Function(function) = &mut start.task else {
            panic!("another task");
        };
        function.channel = Some(before);
        let told = zygote.text(start);
        assert!(
            told.contains("BadF") || told.contains("code: 9"),
            "{before}: {told}"
        );
    }
}

#[test]
fn a_worker_that_waits_holds_nothing_of_one_that_was_asked_for_with_it() {
    let mut zygote = Zygote::ready(&[], &[]);
    // In one message, so that the second is read with the first.
    let mut bytes = Vec::new();
    for worker in [1, 2] {
        let frame = SupervisorFrame {
            descriptors: 1,
            frame: Some(supervisor_frame::Frame::Fork(Fork {
                worker,
                ..Fork::default()
            })),
        };
        bytes.extend(frame::encode(&frame).unwrap());
    }
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..2).map(|_| UnixStream::pair().unwrap()).unzip();
    let passed: Vec<_> = theirs.iter().map(|socket| socket.as_fd()).collect();
    zygote.link().try_send(&bytes, &passed).unwrap();
    drop(theirs);
    for worker in [1, 2] {
        let zygote_frame::Frame::Forked(forked) = zygote.about(worker) else {
            panic!("{worker}");
        };
        zygote.link().descriptors.pop_front().unwrap();
        let sockets = || {
            let open = std::fs::read_dir(format!("/proc/{}/fd", forked.pid)).unwrap();
            let open = open.filter_map(|open| std::fs::read_link(open.unwrap().path()).ok());
            open.filter(|link| link.to_string_lossy().starts_with("socket:"))
                .count()
        };
        // Its own. The zygote's it closes first thing.
        common::eventually("it has closed all others", || sockets() == 1);
    }
    drop(ours);
    for worker in [1, 2] {
        let zygote_frame::Frame::Exited(exited) = zygote.about(worker) else {
            panic!("{worker}");
        };
        assert_eq!(exited.status, Some(126 << 8));
    }
}
