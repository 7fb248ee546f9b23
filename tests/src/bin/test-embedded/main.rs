//! A program that drives its embedded server to the limits: full links, stopped and killed zygotes, no free
//! descriptors, threads that end, crowds. The first argument names what it does; it fails when something
//! is not as expected.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // It is a test, and may panic.

#[cfg(unix)]
mod common;
#[cfg(unix)]
mod crowds;
#[cfg(unix)]
mod descriptors;
#[cfg(unix)]
mod files;
#[cfg(unix)]
mod forking;
#[cfg(unix)]
mod preloading;
#[cfg(unix)]
mod streams;
#[cfg(unix)]
mod zygotes;

#[cfg(unix)]
fn main() {
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
        ["set-id"] => files::set_id(),
        ["given-up-while-stopped"] => zygotes::given_up_while_stopped(),
        ["slow-but-alive"] => zygotes::slow_but_alive(),
        ["no-descriptors"] => descriptors::none_are_left(),
        ["few-in-the-zygote"] => descriptors::few_in_the_zygote(),
        ["inherited", number] => descriptors::inherited(number.parse().unwrap()),
        ["closed-streams"] => streams::closed(),
        ["burst"] => crowds::burst(),
        ["nested-crowd"] => crowds::nested(),
        _ => panic!("can't do {words:?}"),
    }
}

/// It needs Unix.
#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    mpfork_proto::platform::NotOnThisPlatform {
        program: "test-embedded",
    }
    .end()
}
