//! A client dies: its workers are ended or kept.

use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::{Setup, check, eventually_async};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

#[test]
fn a_client_killed_while_its_child_holds_the_connection_is_gone() {
    for feature in [None, Some("peer-pidfd")] {
        let setup = Setup::new();
        let setup = match feature {
            Some(feature) => setup.without_feature(feature),
            None => setup,
        };
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            for what in ["end", "keep"] {
                let mut owner = Command::new(test_program())
                    .args(["own".as_ref(), daemon.socket().as_os_str(), what.as_ref()])
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let mut line = String::new();
                let mut output = BufReader::new(owner.stdout.take().unwrap());
                output.read_line(&mut line).unwrap();
                let words: Vec<&str> = line.split_whitespace().collect();
                let [worker, pid, holder] = words[..] else {
                    panic!("{line:?}");
                };
                let id = worker.parse().unwrap();
                let (pid, holder): (i32, i32) = (pid.parse().unwrap(), holder.parse().unwrap());
                let owner_pid = i32::try_from(owner.id()).unwrap();
                assert_eq!(client.get_worker(id).await.unwrap().owner_pid, owner_pid);
                assert!(lives(pid));
                owner.kill().unwrap();
                owner.wait().unwrap();
                assert!(lives(holder), "it holds the connection");
                if what == "end" {
                    let exit = client.wait(Some(id)).await.unwrap();
                    assert_eq!(exit.exitcode(), -15, "{exit}");
                } else {
                    eventually_async("it has no owner", async || {
                        let worker = client.get_worker(id).await.unwrap();
                        (worker.owner_pid == 0).then_some(())
                    })
                    .await;
                    assert!(lives(pid));
                    client.signal(id, 9, false).await.unwrap();
                    assert_eq!(client.wait(Some(id)).await.unwrap().exitcode(), -9);
                }
                process::kill(holder);
            }
        });
    }
}
