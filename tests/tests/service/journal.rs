//! The journal, played by the test.

use mpfork_tests::harness::programs::{DAEMON, program};
use mpfork_tests::harness::{Folder, LIMIT, Setup, check};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

/// An entry of the journal's native protocol, as its fields.
fn fields(entry: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = entry;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        rest = &rest[end + 1..];
        if let Some((name, value)) = line.split_once('=') {
            fields.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let (length, value) = rest.split_at(8);
        let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
        let value = String::from_utf8(value[..length].to_vec()).unwrap();
        fields.push((line.to_owned(), value));
        rest = &rest[8 + length + 1..];
    }
    fields
}

/// In a mount namespace with an empty `/run`, where the journal's folder is the one given.
const SCRIPT: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
                      mount --bind \"$0\" /run/systemd/journal && exec \"$@\"";

#[test]
fn under_the_journal_records_are_its_entries() {
    let namespace = ["--mount", "--map-root-user", "--"];
    let possible = Command::new("unshare")
        .args(namespace)
        .args(["mount", "-t", "tmpfs", "none", "/run"])
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no mount namespace can be made here");
        return;
    }
    let folder = Folder::new();
    let journal = UnixDatagram::bind(folder.join("socket")).unwrap();
    journal.set_read_timeout(Some(LIMIT)).unwrap();
    let stderr = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
    let metadata = stderr.as_file().metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let home = Folder::new();
    let mut daemon = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", SCRIPT])
        .arg(folder.path())
        .arg(program(DAEMON))
        .arg("--socket")
        .arg(home.join("s"))
        .env("JOURNAL_STREAM", stream)
        .env_remove("MPFORKD_LOG")
        .stdin(Stdio::null())
        .stderr(stderr.reopen().unwrap())
        .spawn()
        .unwrap();
    let mut entry = [0; 1 << 16];
    let entry = loop {
        let length = journal.recv(&mut entry).unwrap();
        let entry = fields(&entry[..length]);
        let message = entry.iter().find(|(name, _)| name == "MESSAGE");
        if message.is_some_and(|(_, text)| text.contains(" serves ")) {
            break entry;
        }
    };
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    let value = |name: &str| {
        let mut found = entry.iter().filter(|(n, _)| n == name);
        found.next().map(|(_, value)| value.as_str())
    };
    assert_eq!(value("SYSLOG_IDENTIFIER"), Some("mpforkd"));
    assert_eq!(value("PRIORITY"), Some("5"), "{entry:?}");
    let told: u32 = value("MPFORKD_PID").unwrap().parse().unwrap();
    assert_eq!(told, daemon.id());
    assert_eq!(std::fs::read_to_string(stderr.path()).unwrap(), "");
}

#[test]
fn where_standard_error_goes_elsewhere_it_has_the_records() {
    let setup = Setup::new().env("JOURNAL_STREAM", "1:2");
    check(setup, async |daemon| {
        super::logged(daemon, " serves ").await;
    });
}

#[test]
fn a_journal_that_was_asked_for_and_is_not_there_is_told() {
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        eprintln!("skipped: there is a journal here");
        return;
    }
    let (ended, log) = Setup::new().arg("--log-format").arg("journal").refused();
    assert_eq!(ended.how, "code 1");
    assert!(log.contains("the journal can't be reached"), "{log}");
}
