//! What the program does.

mod common;
#[allow(dead_code, unreachable_pub)] // Also in the tests' library, which uses the rest of it.
#[path = "../../conformance/differences.rs"]
mod differences;
#[path = "../../conformance/scenarios.rs"]
mod list;

mod arguments;
mod async_code;
mod children;
mod commands;
mod daemon_flag;
mod descriptors;
mod errors;
mod executable;
mod exits;
mod joined_at_exit;
mod limits;
mod main_again;
mod mapped;
mod names;
mod nested;
mod not_frozen;
mod owner_death;
mod panics;
mod preloads;
mod results;
mod sentinels;
mod shared;
mod signals;
mod state;
mod stdio;
mod threads;
mod values;

use mpfork::Context;
use std::process::ExitCode;

macro_rules! table {
    (; $($subject:ident { $($scenario:ident)* })*) => {
        const SCENARIOS: &[(&str, &str, fn(&Context))] =
            &[$($((stringify!($subject), stringify!($scenario), $subject::$scenario),)*)*];
    };
}
list::scenarios!(table);

pub(crate) fn main() -> ExitCode {
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
        "executable" | "joined_at_exit" | "not_frozen" => common::to_the_end(*run),
        // What the program preloads itself stays, and another zygote is another child.
        "shared" if ["in_preloads", "when_the_zygote_ends"].contains(&scenario.as_str()) => {
            common::to_the_end(*run);
        }
        _ => common::frame(*run),
    }
    ExitCode::SUCCESS
}
