//! A client gives nothing to another user's server.

use mpfork_tests::harness::{Folder, block_on, programs, skip_unless_root};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

#[test]
fn a_socket_that_another_user_serves_is_not_used() {
    if skip_unless_root("become another user") {
        return;
    }
    let folder = Folder::new();
    // Both may enter, and the other may make its socket there.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let program = folder.join("client");
    programs::copy(&program);
    let socket = folder.join("theirs.sock");
    let mut server = Command::new(&program)
        .arg("listen")
        .arg(&socket)
        .uid(65534)
        .gid(65534)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "listening\n");
    let refused = block_on(mpfork::api::Client::connect(Some(&socket))).unwrap_err();
    assert!(matches!(refused, mpfork::Error::NoServer(_)), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("is served by user 65534"), "{text}");
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}
