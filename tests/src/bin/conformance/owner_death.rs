//! What becomes of processes whose program is killed.

use super::common::{context, differs, eventually};
use mpfork::Context;
use nix::sys::signal::{SigSet, Signal, raise};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// In the program that is killed.
const KILLED: &str = "KILLED";

/// Runs until it is asked to end, and tells that it was.
fn until_asked(name: String) -> std::io::Result<()> {
    let mut asked = SigSet::empty();
    asked.add(Signal::SIGTERM);
    asked.thread_block()?;
    std::fs::write(runs(&name), "")?;
    asked.wait()?;
    println!("{name} was asked to end");
    Ok(())
}

fn runs(name: &str) -> PathBuf {
    format!("{name} runs").into()
}

/// The same with a process of its own, which it asks to end when it comes to its end.
fn with_a_child(name: String) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let child = context().process(until_asked, "a worker's child".to_owned());
    let _child = child.daemon(true).start()?;
    Ok(until_asked(name)?)
}

/// Nothing is left of it: not its workers, not theirs, not its server. The program is this one once more.
pub(crate) fn by_a_signal(ctx: &Context) {
    if std::env::var_os(KILLED).is_some() {
        let worker = ctx.process(with_a_child, "a worker".to_owned());
        let _worker = worker.start().unwrap();
        let names = ["a worker", "a worker's child"];
        let all_run = || names.iter().all(|name| runs(name).exists()).then_some(());
        eventually("they run", all_run);
        raise(Signal::SIGKILL).unwrap();
    }
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["owner_death", "by_a_signal"])
        .env(KILLED, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It ends when nobody is left who could write.
    let mut told = String::new();
    let mut output = program.stdout.take().unwrap();
    output.read_to_string(&mut told).unwrap();
    let status = program.wait().unwrap();
    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{told}");
    let asked = "a worker was asked to end\na worker's child was asked to end\n";
    let killed = differs("owner's death").is_some();
    assert_eq!(told, if killed { "" } else { asked });
}
