//! The inner parts of a start, each by itself. What a whole start takes is told by `mpfork-bench`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // As a test, a bench may panic.

#[path = "../../../client/src/codec.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod codec;
mod messages;
mod processes;

fn main() {
    // Its workers are forked from this program, executed anew.
    mpfork::freeze_support();
    let mut criterion = criterion::Criterion::default().configure_from_args();
    messages::frames(&mut criterion);
    messages::arguments(&mut criterion);
    messages::descriptors(&mut criterion);
    messages::digest(&mut criterion);
    processes::environment(&mut criterion);
    processes::forks(&mut criterion);
    processes::link(&mut criterion);
    criterion.final_summary();
}
