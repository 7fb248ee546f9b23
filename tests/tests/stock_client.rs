//! A client in another language, which has nothing of ours: Python's grpcio, with reflection.
#![allow(clippy::unwrap_used)]

use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::{Setup, check, eventually_async, python};
use std::path::Path;
use std::process::{Command, Stdio};

const CLIENT: &str = include_str!("../python/stock_client.py");

#[test]
fn pythons_grpcio_lists_describes_and_calls() {
    let interpreter = python::interpreter(Path::new(env!("CARGO_TARGET_TMPDIR")));
    check(Setup::new(), async |daemon| {
        let (told, tells) = (daemon.path("told"), daemon.path("client.py"));
        std::fs::write(&tells, CLIENT).unwrap();
        let output = std::fs::File::create(&told).unwrap();
        let mut client = Command::new(&interpreter)
            .arg("-B")
            .arg(&tells)
            .arg(daemon.socket())
            .arg(test_program())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let status = eventually_async("the client ends", async || client.try_wait().unwrap()).await;
        let told = std::fs::read_to_string(told).unwrap();
        assert!(status.success() && told == "done\n", "{status}:\n{told}");
        // The last that it asked for.
        assert_eq!(daemon.gone().await.how, "code 0");
    });
}
