//! What the fuzz targets try, tried for a moment: any bytes, and such as begin like the real thing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

use mpfork_proto::Message as _;
use mpfork_proto::frame::encode;
use mpfork_proto::link::{
    Assignment, Fork, SupervisorFrame, WorkerReport, ZygoteFrame, supervisor_frame, zygote_frame,
};
use mpfork_tests::fuzz;
use mpfork_tests::harness::spec::{self, command, function};
use proptest::prelude::*;

/// Bytes of the real thing, with some of them changed, put in or cut off.
fn damaged(originals: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    let changes = prop::collection::vec(change, 0..6);
    (prop::sample::select(originals), changes).prop_map(|(mut bytes, changes)| {
        for (index, value, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value % 8),
                2 => bytes.insert(at, value),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

fn any_bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

fn frames() -> Vec<Vec<u8>> {
    let fork = SupervisorFrame {
        descriptors: 1,
        frame: Some(supervisor_frame::Frame::Fork(Fork {
            worker: 7,
            spare: true,
            ..Fork::default()
        })),
    };
    let forked = ZygoteFrame {
        descriptors: 1,
        frame: Some(zygote_frame::Frame::Forked(Default::default())),
    };
    let frames = [
        encode(&fork).unwrap(),
        encode(&forked).unwrap(),
        encode(&WorkerReport::default()).unwrap(),
        encode(&Assignment::default()).unwrap(),
    ];
    // How it is cut comes first.
    frames
        .iter()
        .map(|frame| [&[3], frame.as_slice(), frame, frame].concat())
        .collect()
}

fn requests() -> Vec<Vec<u8>> {
    let mut placed = command(&["ls", "-l"]);
    placed.state = Some(mpfork_proto::v1::StartState {
        umask: Some(0o22),
        nice: Some(5),
        env: spec::env(&[("A", "b")]),
        affinity: vec![0],
        blocked_signals: vec![15],
        cwd_path: Some(b"/".to_vec()),
        ..Default::default()
    });
    let recipe = mpfork_tests::harness::template("/bin/true".as_ref(), &[("A", "b")]);
    vec![
        command(&["true"]).encode_to_vec(),
        placed.encode_to_vec(),
        function("f", "name", (1, "two")).encode_to_vec(),
        recipe.encode_to_vec(),
    ]
}

const CONFIGURATION: &str = r#"
socket = "/run/x.sock"
[log]
filter = "debug"
[limits]
workers = 10
descriptor_credit = 16
[timeouts]
idle = "1h 5m"
[templates.words]
program = "/usr/bin/words"
env = { WORDS = "x" }
rlimits = { nofile = [100, 200], core = 0 }
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn link_frames(data in prop_oneof![any_bytes(200), damaged(frames())]) {
        fuzz::link_frames(&data);
    }

    #[test]
    fn descriptor_stream(data in any_bytes(120)) {
        fuzz::descriptor_stream(&data);
    }

    #[test]
    fn requests_of_anybody(data in prop_oneof![any_bytes(300), damaged(requests())]) {
        fuzz::requests(&data);
    }

    #[test]
    fn configuration(data in prop_oneof![any_bytes(120), damaged(vec![CONFIGURATION.into()])]) {
        fuzz::configuration(&data);
    }
}

#[test]
fn the_real_thing_is_accepted() {
    for request in requests() {
        fuzz::requests(&request);
    }
    fuzz::configuration(CONFIGURATION.as_bytes());
    let path = std::path::Path::new("x");
    mpforkd::config::Config::parse(CONFIGURATION, path).unwrap();
}
