//! A program that is killed, and those it started.

use super::run::run_until;
use mpfork_tests::harness::{eventually, process as seen};
use std::collections::BTreeMap;
use std::path::Path;

/// Whether a process has a file of this folder open.
fn holds(pid: i32, folder: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .any(|path| path.starts_with(folder))
}

fn killed(method: &str) {
    let told = run_until(&["owner", method], |folder, input| {
        let said = eventually("all have started", || {
            let said = std::fs::read_to_string(folder.join("out")).unwrap_or_default();
            said.contains("started").then_some(said)
        });
        let pids: BTreeMap<&str, i32> = said
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(kind, pid)| (kind, pid.parse().unwrap()))
            .collect();
        assert_eq!(pids.len(), 7, "{said}");
        assert!(pids.values().all(|pid| seen::lives(*pid)), "{said}");
        drop(input);
        for kind in ["owned", "daemon", "command", "nesting", "nested"] {
            eventually(kind, || (!seen::lives(pids[kind])).then_some(()));
        }
        for kind in ["kept", "detached"] {
            assert!(seen::lives(pids[kind]), "{kind}");
        }
        // Who reads what the program prints does not wait for them: nor for their zygote.
        for kind in ["kept", "detached"] {
            let zygote = seen::see(pids[kind]).unwrap().parent;
            eventually("its output is let go", || {
                (!holds(zygote, folder.path())).then_some(())
            });
        }
        // Then the zygote goes too.
        std::fs::write(folder.join("go-on"), "").unwrap();
        None
    });
    assert_eq!(told.ended, "signal 9", "{told:#?}");
    assert!(told.left.is_empty(), "{told:#?}");
}

#[test]
fn what_a_zygote_forked_ends_with_its_owner_unless_it_is_kept() {
    killed("forkserver");
}

#[test]
fn what_was_executed_ends_with_its_owner_unless_it_is_kept() {
    killed("spawn");
}

#[test]
fn what_its_owner_forked_ends_with_it_unless_it_is_kept() {
    killed("fork");
}
