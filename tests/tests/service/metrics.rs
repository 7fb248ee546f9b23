//! Metrics: a page that is valid, has what happened, and is for its user alone.

use super::logged;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::DrainRequest;
use mpfork_tests::harness::another_user::connection_of_nobody;
use mpfork_tests::harness::programs::{self, test_program};
use mpfork_tests::harness::spec::{command, function, shell};
use mpfork_tests::harness::{
    Daemon, Folder, Setup, check, eventually, eventually_async, refused, skip_unless_root,
};
use mpfork_tests::openmetrics::{Page, parse};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// What is answered: the head and the body.
fn exchange(mut stream: impl Read + Write, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn scrape(socket: &Path) -> Page {
    let stream = UnixStream::connect(socket).unwrap();
    let (head, body) = exchange(stream, &get("/metrics"));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(kind), "{head}");
    parse(&body).unwrap_or_else(|error| panic!("{error}\n{body}"))
}

/// On a socket in a folder of its own, as no other socket may be left in the daemon's.
fn on_socket(folder: &Folder) -> (Setup, std::path::PathBuf) {
    let socket = folder.join("metrics.sock");
    let listen = format!(
        "[metrics]\nlisten = {:?}",
        format!("unix:{}", socket.display())
    );
    (Setup::new().config(&listen), socket)
}

async fn loopback(daemon: &Daemon) -> String {
    let log = logged(daemon, "metrics are served at http://").await;
    let after = log.split("metrics are served at http://").nth(1).unwrap();
    after.split('/').next().unwrap().to_owned()
}

#[test]
fn the_page_tells_what_happened() {
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    let program = test_program();
    let words = format!("[templates.words]\nprogram = {program:?}\nwarm = true");
    check(setup.config(&words), async |daemon| {
        let client = daemon.connect().await;
        client.warm("words").await.unwrap();
        for _ in 0..3 {
            assert!(
                client
                    .exit_of(function("words", "value", ()))
                    .await
                    .success()
            );
        }
        client
            .try_run(command(&["/nowhere/at/all"]))
            .await
            .unwrap_err();
        client
            .try_run(function("nothing", "value", ()))
            .await
            .unwrap_err();
        let mut malformed = shell("exit 0");
        malformed.time_limit = Some(prost_types::Duration::default());
        client.try_run(malformed).await.unwrap_err();
        let (mut run, _) = client.run_until_line(shell("echo x; exec sleep 600")).await;
        let page = scrape(&socket);
        let value = |name: &str, labels: &[(&str, &str)]| page.value(name, labels);
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        assert_eq!(value("mpforkd_build_info", &version), Some(1.0));
        let result = |result| {
            value(
                "mpforkd_starts_total",
                &[("way", "fork"), ("result", result)],
            )
        };
        let way = |way| {
            let labels = [("way", way), ("result", "started")];
            value("mpforkd_starts_total", &labels).unwrap()
        };
        assert_eq!(way("fork") + way("spare"), 4.0);
        assert_eq!(result("exec_failed"), Some(1.0));
        assert_eq!(result("unknown_template"), Some(1.0));
        assert_eq!(result("bad_request"), Some(1.0));
        // What has not happened yet is there: Prometheus sees no increase from nothing to one.
        assert_eq!(result("limit_reached"), Some(0.0));
        assert_eq!(value("mpforkd_workers_running", &[]), Some(1.0));
        assert_eq!(value("mpforkd_workers_exited_total", &[]), Some(3.0));
        assert_eq!(value("mpforkd_retained_exits", &[]), Some(3.0));
        assert_eq!(value("mpforkd_waiting_starts", &[]), Some(0.0));
        assert_eq!(value("mpforkd_connections", &[]), Some(1.0));
        assert_eq!(value("mpforkd_zygotes", &[]), Some(2.0));
        assert_eq!(value("mpforkd_templates", &[("state", "warm")]), Some(2.0));
        assert_eq!(
            value("mpforkd_templates", &[("state", "failed")]),
            Some(0.0)
        );
        assert_eq!(
            value("mpforkd_limit", &[("limit", "templates")]),
            Some(256.0)
        );
        assert_eq!(
            value("mpforkd_config_last_reload_successful", &[]),
            Some(1.0)
        );
        let words = [("template", "words")];
        let with = |more| [words[0], more];
        let starts = |result| value("mpforkd_template_starts_total", &with(("result", result)));
        assert_eq!(
            (starts("started"), starts("failed")),
            (Some(3.0), Some(0.0))
        );
        let latency = "mpforkd_start_duration_seconds";
        let by_ways = |part: &str, label| {
            ["fork", "spare"].map(|way| {
                let labels = [words[0], ("way", way), label];
                value(&format!("{latency}_{part}"), &labels).unwrap()
            })
        };
        let total = |values: [f64; 2]| values.iter().sum::<f64>();
        assert_eq!(total(by_ways("count", words[0])), 3.0);
        assert_eq!(total(by_ways("bucket", ("le", "+Inf"))), 3.0);
        assert!(total(by_ways("sum", words[0])) > 0.0);
        assert!(value("mpforkd_template_spares", &words).is_some());
        assert!(value("mpforkd_template_fork_seconds", &words).unwrap() > 0.0);
        assert_eq!(
            value("mpforkd_template_spawn_is_cheaper", &words),
            Some(0.0)
        );
        let preload = "mpforkd_preload_duration_seconds_count";
        assert_eq!(value(preload, &words), Some(1.0));
        let launches = "mpforkd_zygote_launches_total";
        assert_eq!(value(launches, &with(("result", "ready"))), Some(1.0));
        assert!(value("process_resident_memory_bytes", &[]).unwrap() > 1e6);
        assert!(value("process_open_fds", &[]).unwrap() > 5.0);
        assert!(value("mpforkd_worker_files", &[]).unwrap() >= 2.0);
        // Sampled in the background, once it is warm.
        eventually("the zygote's memory is told", || {
            let page = scrape(&socket);
            let bytes = page.value("mpforkd_zygote_memory_bytes", &with(("kind", "rss")))?;
            (bytes > 1e5).then_some(())
        });
        eventually("what a worker takes is told", || {
            let page = scrape(&socket);
            let of = |kind| [("template", "command"), ("kind", kind)];
            let bytes = |kind| page.value("mpforkd_template_memory_bytes", &of(kind));
            (bytes("taken")? > 1e4 && bytes("spawned")? > 1e4).then_some(())
        });
        client.signal(run.id(), 9, false).await.unwrap();
        run.exit().await;
    });
    assert!(!socket.exists());
}

#[test]
fn a_start_that_fails_in_a_spare_went_by_a_spare() {
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    check(setup.config("[spares]\nmin = 1"), async |daemon| {
        let client = daemon.connect().await;
        client.warm("command").await.unwrap();
        eventually_async("there is a spare", async || {
            (client.template("command").await.spares_idle > 0).then_some(())
        })
        .await;
        let nowhere = client.try_run(command(&["/nowhere/at/all"])).await;
        refused(nowhere, Reason::ExecFailed);
        let page = scrape(&socket);
        let failed = |way| {
            let labels = [("way", way), ("result", "exec_failed")];
            page.value("mpforkd_starts_total", &labels)
        };
        assert_eq!((failed("fork"), failed("spare")), (Some(0.0), Some(1.0)));
    });
}

/// One that moves by rounding counts as another start.
#[test]
fn the_time_of_the_start_stays_the_same() {
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    check(setup, async |daemon| {
        // It serves: metrics too.
        daemon.connect().await;
        let start = || scrape(&socket).value("process_start_time_seconds", &[]);
        let first = start();
        assert!(first.is_some());
        for _ in 0..50 {
            assert_eq!(start(), first);
        }
    });
}

#[test]
fn what_is_refused_while_draining_is_counted() {
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let told = || {
            let page = scrape(&socket);
            let labels = [("way", "fork"), ("result", "draining")];
            let refused = page.value("mpforkd_starts_total", &labels);
            (page.value("mpforkd_draining", &[]), refused)
        };
        assert_eq!(told(), (Some(0.0), Some(0.0)));
        let drain = DrainRequest::default();
        let mut news = client.admin().drain(drain).await.unwrap().into_inner();
        while news.message().await.unwrap().is_some() {}
        for _ in 0..2 {
            refused(client.try_run(shell("exit 0")).await, Reason::Draining);
        }
        assert_eq!(told(), (Some(1.0), Some(2.0)));
        let undo = DrainRequest {
            undo: true,
            ..DrainRequest::default()
        };
        let mut news = client.admin().drain(undo).await.unwrap().into_inner();
        while news.message().await.unwrap().is_some() {}
        assert!(client.exit_of(shell("exit 0")).await.success());
        assert_eq!(told(), (Some(0.0), Some(2.0)));
    });
}

/// Each limit of `mpctl status`, but the one that is the system's.
#[test]
fn all_limits_are_told() {
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    check(setup, async |daemon| {
        let status = daemon.connect().await.status().await;
        let page = scrape(&socket);
        let names = status.limits.iter().map(|limit| limit.name.as_str());
        assert!(names.clone().any(|name| name == "retained_event_bytes"));
        for limit in status
            .limits
            .iter()
            .filter(|limit| limit.name != "open_files")
        {
            let told = page.value("mpforkd_limit", &[("limit", &limit.name)]);
            assert_eq!(told, Some(limit.value as f64), "{}", limit.name);
        }
    });
}

#[test]
fn a_configuration_that_is_not_reloaded_is_told() {
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    check(setup, async |daemon| {
        std::fs::write(daemon.path("mpforkd.toml"), "nonsense = 1").unwrap();
        daemon.signal(rustix::process::Signal::HUP);
        eventually("the page tells it", || {
            let value = scrape(&socket).value("mpforkd_config_last_reload_successful", &[]);
            (value == Some(0.0)).then_some(())
        });
    });
}

#[test]
fn it_is_served_on_the_loopback_interface() {
    let setup = Setup::new().config("[metrics]\nlisten = \"127.0.0.1:0\"");
    check(setup, async |daemon| {
        let address = loopback(daemon).await;
        let connect = || TcpStream::connect(&address).unwrap();
        let (head, body) = exchange(connect(), &get("/metrics"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(
            parse(&body)
                .unwrap()
                .value("mpforkd_zygotes", &[])
                .is_some()
        );
        for (request, expected) in [
            (get("/"), "404"),
            (get("/metrics/x"), "404"),
            (get("/metrics").replace("GET", "POST"), "405"),
            ("nonsense\r\n\r\n".to_owned(), "400"),
            (
                format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(20_000)),
                "431",
            ),
        ] {
            let (head, _) = exchange(connect(), &request);
            assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{head}");
        }
        let (head, body) = exchange(connect(), &get("/metrics").replace("GET", "HEAD"));
        assert!(
            head.starts_with("HTTP/1.1 200 ") && body.is_empty(),
            "{head}"
        );
    });
}

#[test]
fn an_address_that_can_t_be_used_is_told_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (listen, expected) in [
        ("0.0.0.0:0".to_owned(), "loopback"),
        ("[::]:9464".to_owned(), "loopback"),
        (address.to_string(), "can't serve metrics"),
    ] {
        let config = format!("[metrics]\nlisten = {listen:?}");
        let (ended, log) = Setup::new().config(&config).refused();
        assert_eq!(ended.how, "code 1");
        assert!(log.contains(expected), "{log}");
    }
}

#[test]
fn clients_that_are_silent_take_little_and_others_are_served_after_them() {
    let setup = Setup::new().config("[metrics]\nlisten = \"127.0.0.1:0\"");
    check(setup, async |daemon| {
        let address = loopback(daemon).await;
        let before = mpfork_tests::harness::process::open_descriptors(daemon.pid());
        let silent: Vec<_> = (0..64)
            .map(|_| TcpStream::connect(&address).unwrap())
            .collect();
        eventually("some are taken", || {
            let now = mpfork_tests::harness::process::open_descriptors(daemon.pid());
            (now >= before + 4).then_some(())
        });
        // Workers are none the slower for it.
        let client = daemon.connect().await;
        assert!(client.exit_of(shell("exit 0")).await.success());
        let now = mpfork_tests::harness::process::open_descriptors(daemon.pid());
        assert!(now < before + 40, "{before} before, {now} now");
        drop(silent);
        let (head, _) = exchange(TcpStream::connect(&address).unwrap(), &get("/metrics"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    });
}

#[test]
fn its_socket_is_for_its_user_alone() {
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    check(setup, async |daemon| {
        // It serves: metrics too.
        daemon.connect().await;
        assert_eq!(std::fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
        assert!(scrape(&socket).value("mpforkd_zygotes", &[]).is_some());
    });
    let (setup, _) = on_socket(&folder);
    let daemon = setup.start();
    // Another daemon does not take it over.
    let (other, _) = on_socket(&folder);
    let (ended, log) = other.refused();
    assert_eq!(ended.how, "code 1");
    assert!(log.contains("another mpforkd"), "{log}");
    daemon.finish();
}

#[test]
fn another_user_is_refused() {
    if skip_unless_root("be another user") {
        return;
    }
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    check(setup, async |daemon| {
        // It serves: metrics too.
        daemon.connect().await;
        // A careless administrator lets everybody in.
        let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(folder.path(), mode(0o711)).unwrap();
        std::fs::set_permissions(&socket, mode(0o666)).unwrap();
        let program = folder.join("client");
        programs::copy(&program);
        let stream = connection_of_nobody(&program, &socket);
        let (answer, body) = exchange(stream, &get("/metrics"));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(!body.contains("mpforkd_"), "{body}");
    });
}

#[test]
fn a_request_that_never_ends_is_given_up_on() {
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    check(setup, async |daemon| {
        // It serves: metrics too.
        daemon.connect().await;
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream.write_all(b"GET /metrics").unwrap();
        // The request never ends: the daemon hangs up, with or without a word.
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(!answer.contains("mpforkd_"), "{answer}");
    });
}

/// The names in the expressions of the example alerts are those of metrics.
#[test]
fn the_alerts_are_about_metrics_that_exist() {
    let rules = include_str!("../../../deploy/prometheus/mpforkd.rules.yml");
    let folder = Folder::new();
    let (setup, socket) = on_socket(&folder);
    check(setup, async |daemon| {
        // It serves: metrics too.
        daemon.connect().await;
        let known = scrape(&socket).sample_names();
        let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: std::collections::BTreeSet<&str> = words
            .filter(|word| word.starts_with("mpforkd_") || word.starts_with("process_"))
            .collect();
        assert!(named.len() > 8, "{named:?}");
        for name in named {
            assert!(known.contains(name), "{name} is none of {known:?}");
        }
    });
}
