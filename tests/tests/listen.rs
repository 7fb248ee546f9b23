//! The socket: one daemon for each, in a folder that is safe, however long its path.
#![allow(clippy::unwrap_used)]

use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Folder, Setup, check, skip_unless_root};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

fn refused(setup: Setup) -> String {
    let (ended, log) = setup.refused();
    assert_eq!(ended.how, "code 1", "{log}");
    assert_eq!((ended.inherited, ended.left), (Vec::new(), Vec::new()));
    log
}

#[test]
fn the_socket_is_for_its_user_alone() {
    let folder = Folder::new();
    let socket = folder.join("made/by/mpforkd.sock");
    check(Setup::within(&folder).socket(&socket), async |daemon| {
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(daemon.socket()), 0o600);
        assert_eq!(mode(&folder.join("made")), 0o700);
        assert_eq!(mode(&folder.join("made/by")), 0o700);
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
fn without_a_name_it_serves_in_the_runtime_directory() {
    check(Setup::new().in_runtime_directory(), async |daemon| {
        let client = daemon.connect().await;
        assert!(client.exit_of(shell("exit 0")).await.success());
        let folder = daemon.socket().parent().unwrap();
        let mode = std::fs::metadata(folder).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
    });
}

#[test]
fn one_daemon_serves_a_socket() {
    let folder = Folder::new();
    check(Setup::within(&folder), async |daemon| {
        let log = refused(Setup::within(&folder));
        assert!(log.contains("another mpforkd"), "{log}");
        assert!(log.contains(&format!("pid {}", daemon.pid())), "{log}");
        // The first one is none the worse for it.
        assert!(
            daemon
                .connect()
                .await
                .exit_of(shell("exit 0"))
                .await
                .success()
        );
    });
    // It is free again.
    check(Setup::within(&folder), async |_| {});
}

#[test]
fn a_stale_socket_is_taken_over_and_anything_else_is_not_touched() {
    let folder = Folder::new();
    let socket = folder.join("mpforkd.sock");
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    check(Setup::within(&folder), async |daemon| {
        assert!(
            daemon
                .connect()
                .await
                .exit_of(shell("exit 0"))
                .await
                .success()
        );
    });
    std::fs::write(&socket, "precious").unwrap();
    let log = refused(Setup::within(&folder));
    assert!(log.contains("no socket"), "{log}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
    std::fs::remove_file(&socket).unwrap();
    symlink("/etc/passwd", &socket).unwrap();
    let log = refused(Setup::within(&folder));
    assert!(log.contains("no socket"), "{log}");
    assert!(socket.is_symlink());
}

#[test]
fn a_killed_daemons_socket_is_taken_over() {
    let folder = Folder::new();
    check(Setup::within(&folder), async |daemon| {
        assert_eq!(daemon.kill().how, "signal 9");
        assert!(daemon.socket().exists());
    });
    check(Setup::within(&folder), async |daemon| {
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
fn long_paths_work() {
    let folder = Folder::new();
    let socket = folder.join("x".repeat(200)).join("mpforkd.sock");
    assert!(socket.as_os_str().len() > 200);
    check(Setup::within(&folder).socket(&socket), async |daemon| {
        assert!(socket.exists());
        assert!(
            daemon
                .connect()
                .await
                .exit_of(shell("exit 0"))
                .await
                .success()
        );
        let log = refused(Setup::within(&folder).socket(&socket));
        assert!(log.contains("another mpforkd"), "{log}");
    });
    assert!(!socket.exists());
    // Just at the limit of an address, and one over it; and a name that is too long for one by itself.
    for length in [107, 108, 230] {
        let missing = length - folder.path().as_os_str().len() - 1;
        let socket = folder.join("z".repeat(missing));
        assert_eq!(socket.as_os_str().len(), length);
        check(Setup::within(&folder).socket(&socket), async |daemon| {
            assert!(
                daemon
                    .connect()
                    .await
                    .exit_of(shell("exit 0"))
                    .await
                    .success()
            );
            let log = refused(Setup::within(&folder).socket(&socket));
            assert!(log.contains("another mpforkd"), "{log}");
        });
        assert!(!socket.exists());
        // A stale one of that name is replaced.
        drop(std::os::unix::net::UnixListener::bind(folder.join("s")).unwrap());
        std::fs::rename(folder.join("s"), &socket).unwrap();
        check(Setup::within(&folder).socket(&socket), async |daemon| {
            daemon.connect().await;
        });
    }
}

#[test]
fn a_folder_where_others_may_write_is_refused() {
    for mode in [0o777, 0o770, 0o1777, 0o702] {
        let folder = Folder::new();
        let unsafe_folder = folder.join("open");
        std::fs::create_dir(&unsafe_folder).unwrap();
        std::fs::set_permissions(&unsafe_folder, PermissionsExt::from_mode(mode)).unwrap();
        let log = refused(Setup::within(&folder).socket(unsafe_folder.join("s")));
        assert!(log.contains("others may write there"), "{log}");
        assert!(!unsafe_folder.join("s").exists());
    }
}

#[test]
fn a_symbolic_link_is_refused() {
    let folder = Folder::new();
    let real = folder.join("real");
    std::fs::create_dir(&real).unwrap();
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o700)).unwrap();
    symlink(&real, folder.join("link")).unwrap();
    let log = refused(Setup::within(&folder).socket(folder.join("link/s")));
    assert!(log.contains("symbolic link"), "{log}");
    assert_eq!(std::fs::read_dir(&real).unwrap().count(), 0);
    // A file in the place of the folder.
    std::fs::write(folder.join("file"), "").unwrap();
    refused(Setup::within(&folder).socket(folder.join("file/s")));
}

#[test]
fn another_users_folder_is_refused() {
    let folder = Folder::new();
    let foreign = folder.join("foreign");
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir(&foreign).unwrap();
        std::os::unix::fs::chown(&foreign, Some(65534), Some(65534)).unwrap();
        let log = refused(Setup::within(&folder).socket(foreign.join("s")));
        assert!(log.contains("belongs to user 65534"), "{log}");
    } else {
        // Any folder of root's.
        let log = refused(Setup::within(&folder).socket("/etc/mpforkd-test.sock"));
        assert!(log.contains("belongs to user 0"), "{log}");
    }
}

#[test]
fn a_configured_template_whose_program_is_missing_is_told_at_the_start() {
    let setup = Setup::new().config("[templates.words]\nprogram = \"/nowhere/at/all\"");
    let log = refused(setup);
    assert!(
        log.contains("template words") && log.contains("/nowhere/at/all"),
        "{log}"
    );
}

#[test]
fn a_client_refuses_a_folder_in_the_temporary_one_that_another_user_made() {
    if skip_unless_root("make another user's folder") {
        return;
    }
    let folder = Folder::new();
    let place = folder.join(format!("mpforkd-{}", rustix::process::geteuid().as_raw()));
    std::fs::create_dir(&place).unwrap();
    std::os::unix::fs::chown(&place, Some(65534), Some(65534)).unwrap();
    let error = mpfork_transport::search::check_private(&place).unwrap_err();
    assert!(
        error.to_string().contains("belongs to user 65534"),
        "{error}"
    );
}
