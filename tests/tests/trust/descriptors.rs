//! No process has a descriptor that is not its own.

use mpfork_tests::harness::spec::{self, function, shell};
use mpfork_tests::harness::{Daemon, Run, Setup, TestClient, check, eventually, eventually_async};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What a process has open, by number.
fn open(pid: i32) -> BTreeMap<u32, String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.parse().ok()?;
            let target: PathBuf = std::fs::read_link(path).ok()?;
            Some((number, target.to_string_lossy().into_owned()))
        })
        .collect()
}

/// A client whose worker has a file of the client's own.
struct Marked {
    client: TestClient,
    /// The names of the files that its workers have.
    files: Vec<String>,
    runs: Vec<Run>,
    /// Sent, and claimed by nobody: it stays on its way.
    _unclaimed: mpfork_transport::Queued,
}

fn file(daemon: &Daemon, name: &str) -> OwnedFd {
    std::fs::File::create(daemon.path(name)).unwrap().into()
}

async fn marked(daemon: &Daemon, digest: &str, number: usize) -> Marked {
    let client = daemon.connect().await;
    let (mut files, mut runs) = (Vec::new(), Vec::new());
    let hangs = "echo ready; while :; do sleep 600; done";
    for (kind, spec) in [
        ("command", shell(hangs)),
        ("function", function(digest, "hang", ())),
    ] {
        let name = format!("of-{number}-{kind}");
        let queued = client.queue(vec![file(daemon, &name)]).await;
        let mut spec = spec;
        spec::place(&mut spec, queued.descriptors[0], 50);
        let (run, line) = client.run_until_line(spec).await;
        assert_eq!(line, "ready");
        files.push(daemon.path(&name).to_string_lossy().into_owned());
        runs.push(run);
    }
    let unclaimed = client
        .queue(vec![file(daemon, &format!("of-{number}-unclaimed"))])
        .await;
    // So that it is with the daemon now.
    client.status().await;
    Marked {
        client,
        files,
        runs,
        _unclaimed: unclaimed,
    }
}

#[test]
fn workers_and_zygotes_have_only_what_is_their_own() {
    check(Setup::new(), async |daemon| {
        let observer = daemon.connect().await;
        // Its preloads have a file open, which every worker has too.
        let digest = observer
            .test_template(&[("TEST_FAULT", "descriptor")])
            .await;
        observer.warm(&digest).await.unwrap();
        let kept = observer.template(&digest).await.kept_descriptors;
        let kept: Vec<u32> = kept.iter().map(|kept| kept.number).collect();
        assert_eq!(kept.len(), 1);
        let mut clients = Vec::new();
        for number in 0..4 {
            clients.push(marked(daemon, &digest, number).await);
        }
        // More come and go meanwhile.
        for _ in 0..5 {
            drop(marked(daemon, &digest, 9).await);
        }
        // Those of now have been forked while the daemon had all of that.
        clients.push(marked(daemon, &digest, 4).await);
        let folder = daemon.folder().path().to_string_lossy().into_owned();
        for marked in &clients {
            for (run, file) in marked.runs.iter().zip(&marked.files) {
                let is_function = file.ends_with("function");
                for (number, target) in open(run.pid()) {
                    let own = match number {
                        0 => target == "/dev/null",
                        // What the client reads.
                        1 | 2 => target.starts_with("pipe:"),
                        50 => target == *file,
                        number if is_function && kept.contains(&number) => target == "/etc/passwd",
                        // Its own socket, and of a command not even that.
                        _ => is_function && target.starts_with("socket:"),
                    };
                    assert!(own, "{file}: {number} is {target}");
                }
                let sockets = open(run.pid()).into_values();
                let sockets = sockets
                    .filter(|target| target.starts_with("socket:"))
                    .count();
                assert!(
                    sockets <= usize::from(is_function),
                    "{file}: {sockets} sockets"
                );
            }
        }
        for template in [digest.as_str(), "command"] {
            let zygote = observer.template(template).await.zygote_pid;
            let sockets = |open: &BTreeMap<u32, String>| {
                let sockets = open.values().filter(|target| target.starts_with("socket:"));
                // Some of it twice: numbers that it holds free.
                sockets.collect::<BTreeSet<_>>().len()
            };
            // A worker says that it is ready before its zygote has closed what it was forked with.
            let open = eventually("its link and nothing else", || {
                let open = open(zygote);
                let pidfds = open.values().filter(|target| target.contains("pidfd"));
                (sockets(&open) == 1 && pidfds.count() == 0).then_some(open)
            });
            for (number, target) in &open {
                let own = match number {
                    0 => target == "/dev/null",
                    1 | 2 => target.starts_with("pipe:"),
                    number if template == digest && kept.contains(number) => {
                        target == "/etc/passwd"
                    }
                    _ => {
                        let own = ["/dev/null", "anon_inode:[signalfd]"];
                        target.starts_with("socket:") || own.contains(&target.as_str())
                    }
                };
                assert!(own, "{template}: {number} is {target}");
                assert!(
                    !target.starts_with(&folder),
                    "{template}: {number} is {target}"
                );
            }
        }
        // And none of it stays with the daemon.
        for marked in clients {
            for (mut run, _) in marked.runs.into_iter().zip(0..) {
                marked.client.signal(run.id(), 9, true).await.unwrap();
                run.exit().await;
            }
        }
        eventually_async("the clients are gone", async || {
            let left = open(daemon.pid()).into_values();
            let left = left.filter(|target| target.contains("/of-")).count();
            (observer.in_use("connections").await == 1 && left == 0).then_some(())
        })
        .await;
    });
}
