//! Start method `fork` in a program with threads, for whose workers the caller takes responsibility. One
//! test alone, in a binary of its own: what it vouches for must hold for all threads of the process.
#![deny(unsafe_code)]
#![allow(clippy::unwrap_used)]

use mpfork::{Context, DespiteThreads, Error, StartMethod};
use std::io::{PipeReader, Read as _, Write as _};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

mpfork::test_support!();

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(60);

#[allow(unsafe_code)]
fn responsible() -> DespiteThreads {
    // SAFETY: the other threads wait, on channels and as idle workers of a runtime, or have nothing to do
    // with what the children run: functions of this file, which take no lock that another thread has.
    unsafe { DespiteThreads::new() }
}

/// A thread that waits until its sender is dropped.
fn waiting(name: &str) -> (Sender<()>, JoinHandle<()>) {
    let (end, ended) = channel::<()>();
    let (started, starts) = channel();
    let thread = std::thread::Builder::new().name(name.to_owned());
    let wait = move || {
        started.send(()).unwrap();
        assert!(ended.recv().is_err(), "nothing is sent");
    };
    let thread = thread.spawn(wait).unwrap();
    starts.recv().unwrap();
    (end, thread)
}

/// Run by workers: whether theirs is the only thread.
fn alone(text: String) -> (bool, String) {
    (mpfork_sys::threads::is_single(), text)
}

fn exits_with(code: u8) -> std::process::ExitCode {
    code.into()
}

fn refuses(ctx: &Context) {
    let Err(Error::HasThreads { threads }) = ctx.spawn(alone, String::new()) else {
        panic!("not refused");
    };
    assert!(threads.contains(&"bystander".to_owned()), "{threads:?}");
}

fn starts(ctx: &Context) {
    // More than a pipe or a page holds, to and fro.
    let text = "text".repeat(100_000);
    let call = ctx.spawn(alone, text.clone()).unwrap();
    assert_eq!(call.join().unwrap(), (true, text));
    let mut process = ctx.process(exits_with, 7).start().unwrap();
    assert_eq!(process.start_method(), StartMethod::Fork);
    assert!(process.join(Some(LONG)).unwrap().is_some(), "it hangs");
    assert_eq!(process.exitcode(), Some(7));
}

/// Run by workers: what comes over the pipe.
fn one_byte(mpfork::Fd(mut pipe): mpfork::Fd<PipeReader>) -> std::io::Result<u8> {
    let mut byte = [0];
    pipe.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// The thread that starts a process may end before it: to the system too it is the whole program's.
fn outlives_the_thread(ctx: &Context) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (call, thread) = std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            let call = ctx.spawn(one_byte, mpfork::Fd(reader)).unwrap();
            (call, mpfork_sys::threads::own_number())
        });
        starting.join().unwrap()
    });
    mpfork_sys::threads::wait_until_gone(thread);
    writer.write_all(&[5]).unwrap();
    assert_eq!(call.join().unwrap(), 5);
}

#[test]
fn a_program_with_threads_forks_when_its_caller_takes_responsibility() {
    let (end, thread) = waiting("bystander");
    let usual = mpfork::get_context(StartMethod::Fork).unwrap();
    let ctx = usual.clone().with_threads(responsible());
    refuses(&usual);
    starts(&ctx);
    outlives_the_thread(&ctx);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let call = ctx.spawn_async(alone, "async".to_owned()).await.unwrap();
        let told = call.join_async().await.unwrap();
        assert_eq!(told, (true, "async".to_owned()));
    });
    drop(runtime);
    // It is that context's affair, and no other's.
    refuses(&usual);
    drop(end);
    thread.join().unwrap();
    assert!(mpfork::active_children().is_empty());
}
