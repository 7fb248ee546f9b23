//! The program of the conformance suite: its arguments name a subject and a scenario. By which way its
//! processes are made is the environment's affair; see `mpfork_tests::conformance`. It fails when
//! something is not as expected, and what it prints must be the same by all ways.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // It is a test, and may panic.

#[cfg(unix)]
mod common;
#[cfg(unix)]
#[allow(dead_code, unreachable_pub)] // Also in the tests' library, which uses the rest of it.
#[path = "../../conformance/differences.rs"]
mod differences;
#[cfg(unix)]
#[path = "../../conformance/scenarios.rs"]
mod list;

#[cfg(unix)]
mod arguments;
#[cfg(unix)]
mod async_code;
#[cfg(unix)]
mod children;
#[cfg(unix)]
mod commands;
#[cfg(unix)]
mod daemon_flag;
#[cfg(unix)]
mod descriptors;
#[cfg(unix)]
mod errors;
#[cfg(unix)]
mod exits;
#[cfg(unix)]
mod joined_at_exit;
#[cfg(unix)]
mod main_again;
#[cfg(unix)]
mod names;
#[cfg(unix)]
mod nested;
#[cfg(unix)]
mod not_frozen;
#[cfg(unix)]
mod panics;
#[cfg(unix)]
mod preloads;
#[cfg(unix)]
mod results;
#[cfg(unix)]
mod sentinels;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod state;
#[cfg(unix)]
mod stdio;
#[cfg(unix)]
mod threads;
#[cfg(unix)]
mod values;

#[cfg(unix)]
use mpfork::Context;
#[cfg(unix)]
use std::process::ExitCode;

#[cfg(unix)]
macro_rules! table {
    (; $($subject:ident { $($scenario:ident)* })*) => {
        const SCENARIOS: &[(&str, &str, fn(&Context))] =
            &[$($((stringify!($subject), stringify!($scenario), $subject::$scenario),)*)*];
    };
}
#[cfg(unix)]
list::scenarios!(table);

#[cfg(unix)]
fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("not_frozen") {
        mpfork::freeze_support();
    }
    let args: Vec<_> = std::env::args().skip(1).collect();
    let (subject, scenario) = match &args[..] {
        [how, args @ ..] if how == "in-main" => return main_again::in_main(args),
        [subject, scenario] => (subject, scenario),
        _ => panic!("a subject and a scenario, not {args:?}"),
    };
    let mut all = SCENARIOS.iter();
    let found = all.find(|(of, name, _)| of == subject && name == scenario);
    let (_, _, run) = found.unwrap_or_else(|| panic!("no scenario {scenario} of {subject}"));
    match subject.as_str() {
        "joined_at_exit" | "not_frozen" => common::to_the_end(*run),
        _ => common::frame(*run),
    }
    ExitCode::SUCCESS
}

/// Its scenarios are about the ways of Unix.
#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    mpfork_proto::platform::NotOnThisPlatform {
        program: "conformance",
    }
    .end()
}
