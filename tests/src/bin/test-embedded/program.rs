//! What the program does.

mod common;
mod compaction;
mod crowds;
mod descriptors;
mod files;
mod forking;
#[cfg(target_os = "linux")]
mod in_flight;
mod owner;
mod preloading;
mod streams;
mod zygotes;

use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    mpfork::freeze_support();
    let args: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["preload-beyond-its-thread"] => preloading::beyond_its_thread(),
        ["preload-owner-killed"] => preloading::owner_killed(),
        ["fork-given-up"] => forking::given_up(),
        ["children-are-ignored"] => forking::children_are_ignored(),
        ["other-preloads"] => zygotes::other_preloads(),
        ["other-preloads-within"] => zygotes::other_preloads_within(),
        ["former-choice-within"] => zygotes::former_choice_within(),
        ["killed-while-forking"] => zygotes::killed_while_forking(),
        ["given-up-at-any-time"] => zygotes::given_up_at_any_time(),
        ["deleted"] => files::deleted(),
        ["compaction"] => compaction::both_ways(),
        ["frozen"] => compaction::frozen(),
        ["loaded"] => files::loaded(),
        ["set-id"] => files::set_id(),
        ["given-up-while-stopped"] => zygotes::given_up_while_stopped(),
        ["told-late"] => zygotes::told_late(),
        ["slow-but-alive"] => zygotes::slow_but_alive(),
        ["no-descriptors"] => descriptors::none_are_left(),
        #[cfg(target_os = "linux")]
        ["too-many-in-flight"] => in_flight::too_many(),
        #[cfg(target_os = "linux")]
        ["slow-after-waiting"] => in_flight::slow_after_waiting(),
        ["few-in-the-zygote"] => descriptors::few_in_the_zygote(),
        ["inherited", number] => descriptors::inherited(number.parse().unwrap()),
        ["owner", method] => owner::start_all(method),
        ["closed-streams"] => streams::closed(),
        ["burst", many] => crowds::burst(many.parse().unwrap()),
        ["nested-crowd"] => crowds::nested(),
        _ => panic!("can't do {words:?}"),
    }
    ExitCode::SUCCESS
}
