//! The embedded server at its limits, and what starts by `fork` leave: see `test-embedded`, which is run in
//! a process of its own for each test. Whatever that leaves behind fails the test.
#![allow(clippy::unwrap_used)]

mod owner;
mod run;

use run::{run, succeeds};

#[test]
fn a_zygote_outlives_the_thread_that_launches_it() {
    succeeds(&["preload-beyond-its-thread"], &[("EMBEDDED_SLOW", "1")]);
}

#[test]
fn a_zygote_that_still_loads_ends_with_its_owner() {
    let told = run(&["preload-owner-killed"], &[("EMBEDDED_SLOW", "1")]);
    assert_eq!(told.ended, "signal 9", "{told:?}");
    assert!(told.left.is_empty(), "{told:?}");
}

#[test]
fn a_fork_that_is_given_up_leaves_nothing() {
    succeeds(&["fork-given-up"], &[]);
}

#[test]
fn exits_are_told_where_children_are_ignored() {
    succeeds(&["children-are-ignored"], &[]);
}

#[test]
fn zygotes_of_former_choices_of_preloads_are_waited_for() {
    succeeds(&["other-preloads"], &[]);
}

#[test]
fn another_choice_of_preloads_in_a_worker_ends_none_of_its_processes() {
    succeeds(&["other-preloads-within"], &[]);
}

#[test]
fn a_former_choices_zygote_serves_its_workers() {
    succeeds(&["former-choice-within"], &[]);
}

#[test]
fn zygotes_that_are_killed_make_no_worker_twice() {
    succeeds(&["killed-while-forking"], &[]);
}

#[test]
fn a_start_that_is_given_up_leaves_no_worker() {
    succeeds(&["given-up-at-any-time"], &[]);
}

#[test]
fn what_is_preloaded_is_in_huge_pages_unless_the_program_says_otherwise() {
    for tunables in ["glibc.malloc.tcache_count=7", "glibc.malloc.hugetlb=0"] {
        let env = [("EMBEDDED_PIECES", "1"), ("GLIBC_TUNABLES", tunables)];
        succeeds(&["compaction"], &env);
    }
}

#[test]
fn an_after_preload_hook_that_fails_is_the_starts_error() {
    succeeds(&["frozen"], &[("EMBEDDED_FREEZE", "1")]);
}

#[test]
fn a_program_whose_file_is_replaced_goes_on() {
    run::succeeds_copied(&["deleted"], 0o755);
}

#[test]
fn a_set_id_program_has_no_server() {
    run::succeeds_copied(&["set-id"], 0o4755);
}

#[test]
fn a_programs_loader_is_not_executed_in_its_place() {
    match run::loader() {
        Some(loader) => run::succeeds_by(&loader, &["loaded"]),
        None => eprintln!("skipped: needs a program that is linked dynamically"),
    }
}

#[test]
fn starts_that_are_given_up_harm_no_others() {
    succeeds(&["given-up-while-stopped"], &[]);
}

#[test]
fn an_exit_that_is_told_late_is_not_lost() {
    succeeds(&["told-late"], &[]);
}

#[test]
fn many_starts_at_once_may_take_longer_than_one() {
    succeeds(&["slow-but-alive"], &[("EMBEDDED_HOOK_MS", "200")]);
}

#[test]
fn what_a_program_inherited_is_not_its_zygotes() {
    succeeds(&["inherited", run::INHERITED], &[]);
}

#[test]
fn closed_streams_stay_closed() {
    let told = succeeds(&["closed-streams"], &[]);
    assert_eq!(told.said, run::CLOSED, "{told:?}");
}

#[test]
fn a_thousand_are_alive_together() {
    succeeds(&["burst", "1000"], &[]);
}

#[test]
fn more_processes_ask_than_a_zygote_has_links_for() {
    succeeds(&["nested-crowd"], &[]);
}
