//! Functions for workers to run.

use super::preloads::COUNTED;
use super::{faults, start_state};
use mpfork_zygote::Returned;
use nix::sys::signal::{SigSet, Signal, raise};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::process::{Command, Stdio};

mpfork::register!("echo", |text: String| text);
mpfork::register!("value", || COUNTED.clone());
mpfork::register!("build", || println!("{}", build()));
mpfork::register!("panic", panic);
mpfork::register!("fail", fail);
mpfork::register!("fail-at-length", fail_at_length);
mpfork::register!("abort", abort);
mpfork::register!("exit", exit);
mpfork::register!("raise", raise_signal);
mpfork::register!("hang", announce_and_hang);
mpfork::register!("ignore-term", ignore_term);
mpfork::register!("holder", leave_holder);
mpfork::register!("start-state", || println!("{}", start_state::report()));
mpfork::register!("environment", list_environment);
mpfork::register!("hash-keys", || println!("{:x}", hash_of_nothing()));
mpfork::register!("print", || print!("no newline"));
mpfork::register!("flattened", |flat: Flat| flat);
mpfork_zygote::register_entry!("code", |argument| Returned::Code(
    argument.last().copied().unwrap_or(0)
));

/// A type that only a self-describing format can carry.
#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    name: String,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug)]
struct Wrapped(std::io::Error);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the work failed")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Read, not computed with: so that the text is in the file once, where it can be changed.
fn build() -> &'static str {
    static BUILD: &str = mpfork_tests::harness::programs::BUILDS[0];
    std::hint::black_box(BUILD)
}

fn panic(text: String) {
    panic!("{text}");
}

fn abort() {
    std::process::abort();
}

/// An error as long as errors travel: some 48 KiB.
#[derive(Debug)]
struct Long(String, Option<Box<Long>>);

impl std::fmt::Display for Long {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Long {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.1.as_deref()?;
        Some(source)
    }
}

fn fail_at_length() -> Result<(), Long> {
    let link = |source: Option<Box<Long>>| Some(Box::new(Long("y".repeat(1000), source)));
    let chain = (0..32).fold(None, |source, _| link(source));
    Err(Long("x".repeat(16_000), chain))
}

fn fail() -> Result<u32, Wrapped> {
    Err(Wrapped(std::io::Error::other("the disk is full")))
}

#[allow(clippy::exit)]
fn exit(code: i32) {
    print!("before exit");
    std::process::exit(code)
}

fn raise_signal(number: i32) -> Result<(), nix::Error> {
    raise(Signal::try_from(number)?)
}

/// By keys that are chosen at random when a process first needs them.
fn hash_of_nothing() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The names of all variables, sorted.
fn list_environment() {
    let names = std::env::vars_os().map(|(name, _)| name);
    let names: std::collections::BTreeSet<_> = names.collect();
    for name in names {
        println!("{}", name.display());
    }
}

fn announce_and_hang() {
    println!("ready");
    faults::hang()
}

/// TERM stays pending for ever.
fn ignore_term() -> Result<(), nix::Error> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTERM);
    mask.thread_block()?;
    println!("ready");
    faults::hang()
}

/// A child in the worker's group that outlives it; tells its pid.
fn leave_holder() -> std::io::Result<()> {
    let child = Command::new("/bin/sleep")
        .arg("600")
        .stdout(Stdio::null())
        .spawn()?;
    println!("{}", child.id());
    Ok(())
}
