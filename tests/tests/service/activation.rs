//! A socket that mpforkd is passed. `systemd-socket-activate` makes it and executes mpforkd at the first
//! connection.

use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{
    Daemon, Folder, Setup, TestClient, check, eventually, eventually_async, process,
};
use rustix::process::Signal;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

const ACTIVATE: &str = "systemd-socket-activate";

/// mpforkd behind sockets that are passed. They are made with mode 0644, so only their user may connect.
fn activated(setup: Setup, listen: &[&str]) -> Setup {
    let known = std::process::Command::new(ACTIVATE)
        .arg("--version")
        .output();
    assert!(
        known.is_ok_and(|output| output.status.success()),
        "there is no {ACTIVATE}: install it, on Debian with `apt-get install systemd`"
    );
    let mut wrapper: Vec<OsString> = [ACTIVATE, "-E", "MPFORKD_LOG"].map(OsString::from).into();
    wrapper.extend(listen.iter().map(OsString::from));
    setup.through(wrapper).unnamed()
}

fn path(folder: &Folder) -> String {
    let path = folder.join("mpforkd.sock");
    path.into_os_string().into_string().unwrap()
}

/// Ends it, and takes away the socket, which is its maker's.
fn end(daemon: &Daemon, socket: &Path) {
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().how, "code 0", "{}", daemon.log());
    assert!(socket.exists(), "the socket is its maker's");
    std::fs::remove_file(socket).unwrap();
}

#[test]
fn a_socket_that_is_passed_is_served_and_stays() {
    let folder = Folder::new();
    let socket = path(&folder);
    let names: [&[&str]; 2] = [&[], &["--fdname=mpforkd"]];
    for name in names {
        let listen = [&["-l", &socket], name].concat();
        let setup = activated(Setup::within(&folder), &listen);
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            assert_eq!(client.status().await.socket, socket.as_bytes());
            assert!(client.exit_of(shell("exit 0")).await.success());
            // It is locked like one of its own, and nobody else serves it.
            let (ended, log) = Setup::within(&folder).refused();
            assert_eq!(ended.how, "code 1");
            assert!(log.contains(&format!("pid {}", daemon.pid())), "{log}");
            drop(client);
            end(daemon, Path::new(&socket));
        });
    }
}

#[test]
fn the_first_client_that_connects_is_served() {
    let folder = Folder::new();
    let socket = path(&folder);
    let setup = activated(Setup::within(&folder), &["-l", &socket]);
    let daemon = setup.launch();
    mpfork_tests::harness::block_on(async {
        let connected = eventually_async("it listens", async || {
            mpfork_transport::connect(Path::new(&socket)).await.ok()
        });
        let (channel, connection) = connected.await;
        let client = TestClient::over(channel, connection).await.unwrap();
        assert_eq!(client.status().await.pid, daemon.pid());
    });
    end(&daemon, Path::new(&socket));
    daemon.finish();
}

/// What it says of a socket that it refuses, once somebody connected.
fn refused(setup: Setup, connect: impl FnOnce() -> Option<()> + Copy) -> String {
    let daemon = setup.launch();
    eventually("it listens", || {
        if process::lives(daemon.pid()) {
            connect()
        } else {
            Some(())
        }
    });
    let ended = daemon.ended();
    assert_eq!(ended.how, "code 1", "{}", daemon.log());
    let log = daemon.log();
    assert!(log.contains("LISTEN_FDS"), "{log}");
    log
}

#[test]
fn a_socket_that_is_not_its_users_alone_is_refused() {
    let folder = Folder::new();
    let socket = path(&folder);
    // As by SocketMode=0666.
    let connect = || {
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).ok()?;
        UnixStream::connect(&socket).ok().map(drop)
    };
    let setup = activated(Setup::within(&folder), &["-l", &socket]);
    let log = refused(setup, connect);
    assert!(
        log.contains("others may connect") && log.contains("SocketMode=0600"),
        "{log}"
    );
    std::fs::remove_file(&socket).unwrap();
    // A folder where others may write.
    let open = folder.join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
    let socket = open.join("s").into_os_string().into_string().unwrap();
    let setup = activated(Setup::within(&folder), &["-l", &socket]);
    let daemon = setup.launch();
    eventually("it listens", || UnixStream::connect(&socket).ok());
    assert_eq!(daemon.ended().how, "code 1");
    assert!(
        daemon.log().contains("others may write there"),
        "{}",
        daemon.log()
    );
}

#[test]
fn anything_but_one_stream_socket_with_a_path_is_refused() {
    let folder = Folder::new();
    let socket = path(&folder);
    let other = folder.join("other").into_os_string().into_string().unwrap();
    let connect = || UnixStream::connect(&socket).ok().map(drop);
    let setup = activated(Setup::within(&folder), &["-l", &socket, "-l", &other]);
    let log = refused(setup, connect);
    assert!(log.contains("2 were passed"), "{log}");
    for socket in [&socket, &other] {
        std::fs::remove_file(socket).unwrap();
    }
    let name = format!("mpfork-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let connect = || UnixStream::connect_addr(&address).ok().map(drop);
    let at = format!("@{name}");
    let setup = activated(Setup::within(&folder), &["-l", &at]);
    let log = refused(setup, connect);
    assert!(log.contains("no path"), "{log}");
    let connect = || {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
        let client = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).ok()?;
        connect(&client, &SocketAddrUnix::new(&other).ok()?).ok()
    };
    let setup = activated(Setup::within(&folder), &["--seqpacket", "-l", &other]);
    let log = refused(setup, connect);
    assert!(log.contains("no Unix stream socket"), "{log}");
    std::fs::remove_file(&other).unwrap();
}

#[test]
fn a_socket_that_is_named_must_be_the_one_that_is_passed() {
    let folder = Folder::new();
    let socket = path(&folder);
    let connect = || UnixStream::connect(&socket).ok().map(drop);
    let other = folder.join("other.sock");
    let config = format!("socket = {other:?}");
    let setup = activated(Setup::within(&folder), &["-l", &socket]).config(&config);
    let log = refused(setup, connect);
    assert!(log.contains("other.sock") && log.contains(&socket), "{log}");
    std::fs::remove_file(&socket).unwrap();
    let config = format!("socket = {socket:?}");
    let setup = activated(Setup::within(&folder), &["-l", &socket]).config(&config);
    check(setup, async |daemon| {
        assert!(
            daemon
                .connect()
                .await
                .exit_of(shell("exit 0"))
                .await
                .success()
        );
        end(daemon, Path::new(&socket));
    });
}

#[test]
fn what_was_passed_to_another_process_is_not_for_mpforkd() {
    let setup = Setup::new().env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    check(setup, async |daemon| {
        assert!(
            daemon
                .connect()
                .await
                .exit_of(shell("exit 0"))
                .await
                .success()
        );
    });
}

#[test]
fn what_the_environment_says_wrongly_is_refused() {
    for (variables, expected) in [
        ("LISTEN_FDS=many", "LISTEN_FDS"),
        ("LISTEN_FDS=-1", "LISTEN_FDS"),
        ("LISTEN_FDS=4294967295", "LISTEN_FDS"),
        ("LISTEN_FDS=1 LISTEN_FDNAMES=a:b", "LISTEN_FDNAMES"),
        ("LISTEN_FDS=1", "no Unix stream socket"),
    ] {
        // Number 3 is there, and no socket.
        let script = format!("export LISTEN_PID=$$ {variables}; exec \"$@\" 3</dev/null");
        let wrapper = ["/bin/sh", "-c", &script, "sh"].map(OsString::from);
        let (ended, log) = Setup::new().through(wrapper.into()).refused();
        assert_eq!(ended.how, "code 1", "{variables}: {log}");
        assert!(log.contains(expected), "{variables}: {log}");
    }
}
