//! Under `panic = "abort"` the panic hook is the last of our code to run: panics are told all the
//! same.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Start, Zygote, read_all};
use mpfork_proto::v1::failure::Kind;
use std::path::Path;
use std::process::Command;

/// The probe, built to abort; what it is built with is built already, for the most part.
fn probe() -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--offline",
            "--bin",
            "zygote-probe-abort",
        ])
        .args(["--config", "profile.dev.panic=\"abort\""])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .status()
        .unwrap();
    assert!(status.success());
    let probe = target.join("debug/zygote-probe-abort");
    probe.to_str().unwrap().to_owned()
}

#[test]
fn panics_are_told_before_the_signal() {
    let probe = probe();
    let mut zygote = Zygote::launch(&probe, &[]);
    zygote.greet();
    zygote.preload(&["first"]).1.unwrap();
    for start in [Start::function("panic", b"."), Start::main(&["panic"])] {
        let (start, output) = start.piped();
        let outcome = zygote.run(start);
        assert_eq!(outcome.status() & 0x7f, 6);
        let failure = outcome.failure();
        assert_eq!(failure.kind(), Kind::Panic);
        assert!(failure.message.ends_with(" panics"), "{failure:?}");
        assert!(failure.location.contains(".rs:"), "{failure:?}");
        assert!(read_all(output).contains(" panics"));
    }
    // Errors are no panics.
    let outcome = zygote.run(Start::function("fail", b"."));
    assert_eq!(outcome.failure().kind(), Kind::Error);
    assert_eq!(outcome.code(), 1);
    drop(zygote);

    let mut zygote = Zygote::launch(&probe, &[]);
    zygote.greet();
    let failed = zygote.preload(&["first", "panicking"]).1.unwrap_err();
    assert_eq!(failed.preload, "panicking");
    assert_eq!(failed.message, "panicked: no way");
    assert!(failed.trace.contains("preloads.rs:"), "{}", failed.trace);
    zygote.expect_signal(6);
}
