//! Commands.

use super::common::{check, check_daemon, context};
use mpfork::api::{Client, LogSource};
use mpfork::{Error, Reason, Stdio};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;

#[test]
fn a_command_runs_with_its_arguments() {
    check(|server| {
        let builder = server.ctx.command("printf").arg("%s|");
        let builder = builder.args(["two words", "", "$HOME"]);
        let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe");
        let builder = builder.arg(bytes).stdout(Stdio::piped());
        let mut command = builder.name("prints").start().unwrap();
        let mut text = Vec::new();
        let mut stdout = command.take_stdout().unwrap();
        stdout.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"two words||$HOME|\xff\xfe|");
        assert_eq!(command.name(), "prints");
        command.join(None).unwrap();
        assert_eq!(command.exitcode(), Some(0));
    });
}

#[test]
fn a_command_may_have_another_name() {
    check(|server| {
        let builder = server.ctx.command("sh").arg0("other name");
        let builder = builder.args(["-c", "echo $0; cat; exit 7"]);
        let builder = builder.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut command = builder.start().unwrap();
        let mut stdin = command.take_stdin().unwrap();
        stdin.write_all(b"from the pipe").unwrap();
        drop(stdin);
        let mut text = String::new();
        let mut stdout = command.take_stdout().unwrap();
        stdout.read_to_string(&mut text).unwrap();
        assert_eq!(text, "other name\nfrom the pipe");
        command.join(None).unwrap();
        assert_eq!(command.exitcode(), Some(7));
        assert_eq!(command.exit().unwrap().failure(), None);
    });
}

#[test]
fn what_can_not_be_executed_is_an_error_of_the_start() {
    check(|server| {
        let file = server.folder.join("no program");
        std::fs::write(&file, "text").unwrap();
        let missing = server.folder.join("missing");
        for program in [
            file.as_os_str(),
            missing.as_os_str(),
            "no-such-command".as_ref(),
        ] {
            let error = server.ctx.command(program).start().unwrap_err();
            assert_eq!(error.reason(), Some(Reason::ExecFailed), "{error:?}");
        }
        // The path is the caller's, not the daemon's.
        let folder = server.folder.join("bin");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/bin/true", folder.join("only-here")).unwrap();
        let command = server.ctx.command("only-here");
        let mut command = command.env("PATH", &folder).start().unwrap();
        command.join(None).unwrap();
        assert_eq!(command.exitcode(), Some(0));
        let elsewhere = server.ctx.command("true").current_dir(&missing).start();
        assert!(matches!(elsewhere, Err(Error::System { .. })));
    });
}

#[test]
fn streams_are_the_null_device_or_kept_as_was_said() {
    check_daemon(async |daemon| {
        let ctx = context(daemon.socket());
        let script = "for n in 0 2; do readlink /proc/self/fd/$n; done >&3; echo kept >&2";
        let told = |stderr: Stdio| {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let command = ctx.command("sh").args(["-c", script]);
            let command = command.stdin(Stdio::null()).stdout(Stdio::null());
            let mut process = command.stderr(stderr).pass_fd(writer, 3).start().unwrap();
            process.join(None).unwrap();
            let mut told = String::new();
            reader.read_to_string(&mut told).unwrap();
            (told, process.id())
        };
        let (links, id) = told(Stdio::null());
        assert_eq!(links, "/dev/null\n".repeat(2));
        let client = Client::connect(Some(daemon.socket())).await.unwrap();
        let logs = client.read_logs(LogSource::Worker(id), false).await;
        assert_eq!(logs.unwrap_err().reason(), Some(Reason::NotKept));
        let (links, id) = told(Stdio::kept());
        assert!(
            links.lines().last().unwrap().starts_with("pipe:"),
            "{links}"
        );
        let logs = client.read_logs(LogSource::Worker(id), false).await;
        let mut logs = logs.unwrap();
        assert_eq!(logs.next().await.unwrap().unwrap().data, b"kept\n");
        assert!(logs.next().await.unwrap().is_none());
    });
}
