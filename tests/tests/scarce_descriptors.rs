//! A program's own server where descriptors are scarce. In a program of their own, and one after another:
//! those in flight count for all of a user's processes, against the limit of each.
#![allow(clippy::unwrap_used)]

#[path = "embedded/run.rs"]
#[allow(dead_code, reason = "others need the rest")]
mod run;

use run::succeeds;

#[test]
fn starts_wait_or_are_refused_and_disturb_nobody() {
    succeeds(&["no-descriptors"], &[]);
    succeeds(&["few-in-the-zygote"], &[]);
    if cfg!(target_os = "linux") {
        succeeds(&["too-many-in-flight"], &[]);
        succeeds(&["slow-after-waiting"], &[("EMBEDDED_HOOK_MS", "2500")]);
    }
}
