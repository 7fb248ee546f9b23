//! The end of a program that has processes running: it ends the daemonic ones and waits for the others.

use super::common::{eventually, fifo, hang_at};
use mpfork::{Context, Fd, parent_process};
use std::io::{PipeReader, PipeWriter, Read as _};
use std::path::PathBuf;

/// Tells that it runs; then until it is ended.
fn forever(Fd(_open): Fd<PipeWriter>, runs: PathBuf, gate: PathBuf) -> std::io::Result<()> {
    std::fs::write(runs, "")?;
    hang_at(gate)
}

/// Ends after the daemonic one: which is ended when the program ends, and not before.
fn outlast(Fd(mut pipe): Fd<PipeReader>) -> std::io::Result<()> {
    pipe.read_to_end(&mut Vec::new())?;
    println!("the daemonic process has ended");
    // Were the program not to wait, it would end about now.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let parent = parent_process().unwrap();
    println!("the program waits: {}", parent.is_alive());
    Ok(())
}

fn leave_two(ctx: &Context) {
    let (reader, writer) = std::io::pipe().unwrap();
    let runs = std::env::current_dir().unwrap().join("runs");
    let arguments = (Fd(writer), runs.clone(), fifo());
    let daemonic = ctx.process(forever, arguments).daemon(true);
    drop(daemonic.start().unwrap());
    ctx.process(outlast, Fd(reader)).start().unwrap();
    eventually("it runs", || runs.exists().then_some(()));
    println!("the program ends");
}

pub(crate) fn when_main_returns(ctx: &Context) {
    leave_two(ctx);
}

pub(crate) fn when_it_exits(ctx: &Context) {
    leave_two(ctx);
    #[allow(clippy::exit)] // it is what is tested
    std::process::exit(0);
}
