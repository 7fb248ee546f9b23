//! What the service manager is told, on a socket of the test's own.

use super::logged;
use mpfork_proto::BUILTIN_TEMPLATE;
use mpfork_proto::v1::task;
use mpfork_tests::harness::spec::{self, shell, worker};
use mpfork_tests::harness::{Daemon, Folder, LIMIT, Setup, check, leaks};
use rustix::process::Signal;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What a service manager sets for a service of its own, and for nobody that the service starts.
const VARIABLES: [&str; 8] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
];

/// The service manager's end.
pub(crate) struct Manager {
    socket: UnixDatagram,
    /// Apart from the daemon's folder, where no socket may be left.
    folder: Folder,
    /// The last to go.
    _running: leaks::Running,
}

impl Manager {
    pub(crate) fn new() -> Self {
        // Made before the daemon is, and so before the test is checked.
        let running = leaks::enter();
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            socket,
            folder,
            _running: running,
        }
    }

    pub(crate) fn of(&self, setup: Setup) -> Setup {
        setup.env("NOTIFY_SOCKET", self.folder.join("notify"))
    }

    /// The next message, as its lines.
    fn next(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).unwrap();
        let text = std::str::from_utf8(&message[..length]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The next message that has this line in it.
    pub(crate) fn until(&self, line: &str) -> Vec<String> {
        loop {
            let message = self.next();
            if message.iter().any(|l| l == line) {
                return message;
            }
        }
    }

    /// The next message whose status has this text in it.
    pub(crate) fn until_status(&self, text: &str) -> String {
        loop {
            let status = self.next().into_iter().find(|l| l.starts_with("STATUS="));
            if let Some(status) = status.filter(|status| status.contains(text)) {
                return status;
            }
        }
    }

    /// Nothing has been told that was not read.
    fn expect_silence(&self) {
        self.socket.set_nonblocking(true).unwrap();
        let error = self.socket.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

fn value(message: &[String], name: &str) -> String {
    let prefix = format!("{name}=");
    let mut values = message.iter().filter_map(|line| line.strip_prefix(&prefix));
    values.next().unwrap().to_owned()
}

fn end(daemon: &Daemon) {
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().how, "code 0");
}

/// Containers' managers are in the abstract namespace.
#[test]
fn a_manager_may_have_an_abstract_socket() {
    let mut manager = Manager::new();
    let name = manager.folder.join("abstract");
    let name = name.to_str().unwrap();
    let address = SocketAddr::from_abstract_name(name).unwrap();
    manager.socket = UnixDatagram::bind_addr(&address).unwrap();
    manager.socket.set_read_timeout(Some(LIMIT)).unwrap();
    let setup = Setup::new().env("NOTIFY_SOCKET", format!("@{name}"));
    check(setup, async |daemon| {
        assert_eq!(manager.next()[0], "READY=1");
        end(daemon);
        manager.until("STOPPING=1");
    });
}

/// What it was told fills its socket: nobody else waits for that.
#[test]
fn a_manager_that_does_not_read_holds_up_nobody() {
    let manager = Manager::new();
    let setup = manager.of(Setup::new()).env("WATCHDOG_USEC", "2000");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        logged(daemon, "can't tell the service manager").await;
        for _ in 0..10 {
            assert!(client.exit_of(shell("exit 0")).await.success());
        }
        let log = daemon.log();
        let warnings = log.matches("can't tell the service manager").count();
        assert_eq!(warnings, 1, "{log}");
        // It goes on when there is room again.
        manager.until("READY=1");
        manager.until_status("0 workers; 1 templates, 1 warm");
    });
}

#[test]
fn it_tells_that_it_is_ready_what_it_does_and_that_it_ends() {
    let manager = Manager::new();
    let setup = manager
        .of(Setup::new())
        .config("[timeouts]\ngrace = \"7s\"");
    check(setup, async |daemon| {
        let message = manager.next();
        assert_eq!(message[0], "READY=1");
        assert_eq!(value(&message, "STATUS"), "0 workers; 1 templates, 0 warm");
        // Ready means that it can be talked to.
        let client = daemon.connect().await;
        let (mut run, _) = client.run_until_line(shell("echo x; exec sleep 600")).await;
        manager.until_status("1 workers; 1 templates, 1 warm");
        client.signal(run.id(), 9, false).await.unwrap();
        run.exit().await;
        manager.until_status("0 workers;");
        drop(client);
        end(daemon);
        let message = manager.until("STOPPING=1");
        // Longer than the workers' grace.
        let extended: u64 = value(&message, "EXTEND_TIMEOUT_USEC").parse().unwrap();
        assert!(extended > 7_000_000);
        manager.expect_silence();
    });
}

#[test]
fn a_reload_is_told_from_its_beginning_to_its_end() {
    let manager = Manager::new();
    let uptime = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        u64::try_from(time.tv_sec).unwrap() * 1_000_000
            + u64::try_from(time.tv_nsec).unwrap() / 1000
    };
    check(manager.of(Setup::new()), async |daemon| {
        manager.until("READY=1");
        let before = uptime();
        daemon.signal(Signal::HUP);
        let reloading = manager.until("RELOADING=1");
        let at: u64 = value(&reloading, "MONOTONIC_USEC").parse().unwrap();
        // notify-reload takes it only when it is of this clock, and not from before the signal.
        assert!((before..=uptime()).contains(&at), "{at}");
        manager.until("READY=1");
        // A wrong file: it goes on, and says so in its status.
        std::fs::write(daemon.path("mpforkd.toml"), "nonsense = 1").unwrap();
        daemon.signal(Signal::HUP);
        manager.until("RELOADING=1");
        let ready = manager.until("READY=1");
        let status = value(&ready, "STATUS");
        assert!(
            status.contains("not reloaded") && status.contains("nonsense"),
            "{status}"
        );
    });
}

#[test]
fn the_watchdog_hears_from_a_daemon_whose_loop_goes_round() {
    let manager = Manager::new();
    let setup = manager.of(Setup::new()).env("WATCHDOG_USEC", "60000");
    check(setup, async |daemon| {
        for _ in 0..5 {
            manager.until("WATCHDOG=1");
        }
        mpfork_tests::harness::process::stop(daemon.pid());
        // What was under way when it stopped.
        manager.socket.set_nonblocking(true).unwrap();
        while manager.socket.recv(&mut [0; 4096]).is_ok() {}
        manager.socket.set_nonblocking(false).unwrap();
        let period = std::time::Duration::from_millis(240);
        manager.socket.set_read_timeout(Some(period)).unwrap();
        assert!(manager.socket.recv(&mut [0; 16]).is_err(), "it is stopped");
        manager.socket.set_read_timeout(Some(LIMIT)).unwrap();
        mpfork_tests::harness::process::resume(daemon.pid());
        manager.until("WATCHDOG=1");
    });
}

#[test]
fn another_process_s_watchdog_is_not_fed() {
    let manager = Manager::new();
    let setup = manager
        .of(Setup::new())
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", "1");
    check(setup, async |daemon| {
        manager.until("READY=1");
        assert!(
            daemon
                .connect()
                .await
                .exit_of(shell("exit 0"))
                .await
                .success()
        );
        end(daemon);
        loop {
            let message = manager.next();
            assert!(!message.contains(&"WATCHDOG=1".to_owned()));
            if message.contains(&"STOPPING=1".to_owned()) {
                break;
            }
        }
    });
}

#[test]
fn a_manager_that_is_gone_does_no_harm() {
    let manager = Manager::new();
    let setup = manager.of(Setup::new());
    drop(manager);
    check(setup, async |daemon| {
        assert!(
            daemon
                .connect()
                .await
                .exit_of(shell("exit 0"))
                .await
                .success()
        );
        assert!(daemon.log().contains("can't tell the service manager"));
    });
}

#[test]
fn what_the_manager_sets_for_mpforkd_reaches_neither_zygotes_nor_workers() {
    let manager = Manager::new();
    let mut setup = manager.of(Setup::new());
    for name in &VARIABLES[1..] {
        setup = setup.env(name, "1");
    }
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let environment = task::Command {
            program: "/usr/bin/env".into(),
            args: Vec::new(),
            arg0: None,
        };
        // The zygote's own environment, and that of a client that is under a manager itself.
        let inherited = worker(BUILTIN_TEMPLATE, task::Task::Command(environment.clone()));
        let (output, exit) = client.output_of(inherited).await;
        assert!(exit.success());
        let mut own = worker(BUILTIN_TEMPLATE, task::Task::Command(environment));
        own.state.get_or_insert_default().env = spec::env(&[("NOTIFY_SOCKET", "the client's")]);
        let (of_client, _) = client.output_of(own).await;
        assert_eq!(of_client, "NOTIFY_SOCKET=the client's\n");
        let zygote = client.template(BUILTIN_TEMPLATE).await.zygote_pid;
        let zygote = std::fs::read(format!("/proc/{zygote}/environ")).unwrap();
        let zygote = String::from_utf8(zygote).unwrap();
        for name in VARIABLES {
            let prefix = format!("{name}=");
            assert!(!output.lines().any(|l| l.starts_with(&prefix)), "{output}");
            assert!(
                !zygote.split('\0').any(|l| l.starts_with(&prefix)),
                "{zygote}"
            );
        }
    });
}

#[test]
fn without_a_manager_nothing_is_told() {
    let setup = Setup::new().env("WATCHDOG_USEC", "1000");
    check(setup, async |daemon| {
        assert!(
            daemon
                .connect()
                .await
                .exit_of(shell("exit 0"))
                .await
                .success()
        );
        assert!(
            !daemon.log().contains("service manager"),
            "{}",
            daemon.log()
        );
    });
}
