//! Memory that is shared.

pub(crate) use super::limits::beyond_limits;

use super::common::{
    context, differs, ended, eventually, fifo, hang_at, lives, say_error, wait_for,
};
use super::mapped::{Mapped, all_mapped, mapped};
use mpfork::{Context, Error, Shared, SharedBuilder, SharedError, Stdio};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

/// 8 MiB of numbers, where this is what is tested.
fn load() -> Result<Option<Shared<u64>>, SharedError> {
    if std::env::var("CONFORMANCE_SUBJECT").as_deref() != Ok("shared") {
        return Ok(None);
    }
    let mut table = SharedBuilder::with_capacity(NUMBERS)?;
    table.try_extend(0..NUMBERS as u64)?;
    table.seal().map(Some)
}

const NUMBERS: usize = 1 << 20;
const TABLE_KIB: u64 = 8 << 10;
const SUM: u64 = (NUMBERS as u64) * (NUMBERS as u64 - 1) / 2;

mpfork::preload! {
    static TABLE: Option<Shared<u64>> = load;
    name = "table",
    env = ["CONFORMANCE_SUBJECT"],
}

/// The program's own, for what is not about preloads.
fn own() -> Shared<u64> {
    load().unwrap().unwrap()
}

fn table() -> &'static Shared<u64> {
    TABLE.as_ref().unwrap()
}

fn sum(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |sum, n| sum.wrapping_add(*n))
}

#[derive(Serialize, Deserialize)]
struct Work {
    name: String,
    table: Shared<u64>,
    places: Option<Shared<[f32; 3]>>,
    nothing: Vec<Shared<u8>>,
}

fn work(name: &str, table: &Shared<u64>) -> Work {
    Work {
        name: name.to_owned(),
        table: table.clone(),
        places: Some(Shared::from_slice(&[[0.5, 1.0, 1.5]; 2]).unwrap()),
        nothing: vec![Shared::builder().seal().unwrap()],
    }
}

/// They are not copied, and as many as before are open afterwards.
pub(crate) fn in_arguments(ctx: &Context) {
    let table = own();
    let read = |work: Work| {
        let places: f32 = work.places.unwrap().as_flattened().iter().sum();
        let nothing = work.nothing.iter().all(|shared| shared.is_empty());
        println!(
            "{}: {places} {} {nothing}",
            work.name,
            sum(&work.table) == SUM
        );
        mapped(&work.table).file
    };
    let file = ctx.spawn(read, work("a call", &table)).unwrap().join();
    assert_eq!(file.unwrap(), mapped(&table).file);
    // By a worker, to one of its own.
    let pass_on = |work: Work| -> Result<_, Error> {
        let read = |table: Shared<u64>| (sum(&table), mapped(&table).file);
        context().spawn(read, work.table)?.join()
    };
    let call = ctx.spawn(pass_on, work("passed on", &table)).unwrap();
    assert_eq!(call.join().unwrap(), (SUM, mapped(&table).file));
    let print = |work: Work| println!("{} {}", work.name, sum(&work.table) == SUM);
    let mut process = ctx
        .process(print, work("a process", &table))
        .start()
        .unwrap();
    assert!(process.join(None).unwrap().unwrap().success());
    // Elements of another size are others.
    let halves = |numbers: Shared<u32>| numbers.len();
    let call = ctx.spawn(halves, Shared::from_slice(&[1u32; 3]).unwrap());
    assert_eq!(call.unwrap().join().unwrap(), 3);
    let call = ctx.spawn_registered::<usize>("count-halves", &table);
    say_error(&call.unwrap().join().unwrap_err());
}

mpfork::register!("count-halves", |halves: Shared<u32>| halves.len());

/// Made by the worker, which has ended when they are read.
pub(crate) fn in_results(ctx: &Context) {
    let make = |count: u64| -> Result<(String, Shared<u64>), SharedError> {
        let mut made = Shared::builder();
        made.try_extend(0..count)?;
        Ok(("made there".to_owned(), made.seal()?))
    };
    for count in [0, 1, NUMBERS as u64] {
        let call = ctx.spawn(make, count).unwrap();
        let pid = call.process().pid();
        let (text, made) = call.join().unwrap();
        eventually("it ends", || (!lives(pid)).then_some(()));
        assert_eq!(made.len() as u64, count);
        println!(
            "{text}: {}",
            sum(&made) == count.saturating_sub(1) * count / 2
        );
    }
    let back = |table: Shared<u64>| table;
    let small = Shared::from_slice(&[1, 2, 3]).unwrap();
    let call = ctx.spawn(back, small.clone()).unwrap();
    let same = call.join().unwrap();
    assert_eq!(mapped(&same).file, mapped(&small).file);
    // What a preload has made may go, too.
    let preloaded = || table().clone();
    let call = ctx.spawn(preloaded, ()).unwrap();
    assert_eq!(sum(&call.join().unwrap()), SUM);
}

/// What a worker finds, before and after it has read it, and what its own worker finds.
fn look() -> Result<(bool, Mapped, u64, Mapped, Mapped), Error> {
    let loaded = TABLE.is_loaded();
    let before = mapped(table());
    let sum = sum(table());
    let nested = context().spawn(|| mapped(table()), ())?.join()?;
    Ok((loaded, before, sum, mapped(table()), nested))
}

/// They are there, workers have the same one, and a fork has copied nothing of it.
pub(crate) fn in_preloads(ctx: &Context) {
    let mut files = Vec::new();
    let forks = differs("preloads") != Some("is loaded at first use");
    for round in 0..2 {
        let (loaded, before, total, after, nested) = ctx.spawn(look, ()).unwrap().join().unwrap();
        assert_eq!(total, SUM);
        assert_eq!(
            loaded,
            differs("preloads").is_none() || (round == 1 && forks)
        );
        if loaded {
            assert_eq!(before.kib["Rss"], 0, "nothing of it was copied");
        }
        assert!(after.kib["Rss"] >= TABLE_KIB, "{after:?}");
        // A worker's own, by spawn, is made by each.
        assert_eq!(nested.file == after.file, forks);
        files.push(after.file);
        // By fork it is there once the program has it.
        if differs("preloads").is_some() {
            assert_eq!(sum(table()), SUM);
        }
    }
    match differs("preloads") {
        None => assert_eq!(files[0], files[1]),
        Some(_) => assert_eq!(mapped(table()).file == files[1], forks),
    }
    if differs("main").is_none() {
        let (exit, out, err) = ended(ctx.process_main(["in-main", "shared"]));
        assert!(exit.success(), "{err}");
        assert_eq!(out, format!("{SUM}\n"));
    }
}

/// For a worker that goes on with `main`.
pub(crate) fn in_main() {
    println!("{}", sum(table()));
}

fn read_and_hang(table: Shared<u64>, gate: PathBuf) -> Result<(), std::io::Error> {
    assert_eq!(sum(&table), SUM);
    hang_at(gate)
}

/// It is there once, however many have read it.
pub(crate) fn in_one_memory(ctx: &Context) {
    const WORKERS: u64 = 5;
    let made = own();
    let file = mapped(&made).file;
    assert_eq!(sum(&made), SUM);
    let start = |_| {
        let gate = fifo();
        let work = (made.clone(), gate.clone());
        (ctx.process(read_and_hang, work).start().unwrap(), gate)
    };
    let mut workers: Vec<_> = (0..WORKERS).map(start).collect();
    let theirs = |pid: i32| {
        let all = all_mapped(pid.unsigned_abs()).into_iter();
        all.map(|(_, mapped)| mapped)
            .find(|mapped| mapped.file == file && mapped.kib["Rss"] >= TABLE_KIB)
    };
    for (worker, _) in &workers {
        eventually("it has read", || theirs(worker.pid()));
    }
    let mut pss = mapped(&made).kib["Pss"];
    for (worker, _) in &workers {
        let theirs = theirs(worker.pid()).unwrap();
        assert_eq!(theirs.kib["Private_Clean"] + theirs.kib["Private_Dirty"], 0);
        pss += theirs.kib["Pss"];
    }
    // Each share is rounded down.
    assert!(
        (TABLE_KIB - WORKERS - 1..=TABLE_KIB + TABLE_KIB / 20).contains(&pss),
        "{pss}"
    );
    for (worker, gate) in &mut workers {
        std::fs::write(gate, "").unwrap();
        assert!(worker.join(None).unwrap().unwrap().success());
    }
}

/// Neither through its descriptor nor through its memory, wherever it came from.
fn try_to_write(passed: Shared<u64>) -> Result<u64, std::io::Error> {
    for shared in [&passed, table()] {
        let mapped = mapped(shared);
        let start = shared.as_ptr().addr() as u64;
        let memory = File::options().write(true).open("/proc/self/mem")?;
        assert!(memory.write_all_at(b"x", start).is_err());
        let path = format!(
            "/proc/self/map_files/{start:x}-{:x}",
            start + (TABLE_KIB << 10)
        );
        if let Ok(file) = File::options().write(true).open(path) {
            assert!(file.write_all_at(b"x", 0).is_err());
        }
        let mut found = 0;
        for number in mpfork_sys::descriptors::open_numbers()? {
            let Some((_, inode)) = mpfork_sys::descriptors::file_at(number) else {
                continue;
            };
            if inode != mapped.file.1 {
                continue;
            }
            found += 1;
            let path = format!("/proc/self/fd/{number}");
            // Root may open it so.
            if let Ok(file) = File::options().write(true).open(path) {
                assert!(file.write_all_at(b"x", 0).is_err());
                assert!(file.set_len(0).is_err());
                assert!(file.set_len(1 << 30).is_err());
            }
        }
        assert!(found > 0, "it has a descriptor");
    }
    Ok(sum(&passed).wrapping_add(sum(table())))
}

pub(crate) fn that_nobody_writes(ctx: &Context) {
    let call = ctx.spawn(try_to_write, own()).unwrap();
    assert_eq!(call.join().unwrap(), SUM + SUM);
}

/// It has none of their descriptors.
pub(crate) fn in_commands(ctx: &Context) {
    let list = ["-c", "ls -l /proc/self/fd"];
    let of_a_worker = || -> std::io::Result<String> {
        assert_eq!(table().len(), NUMBERS);
        let output = Command::new("/bin/sh")
            .args(["-c", "ls -l /proc/self/fd"])
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let listed = ctx.spawn(of_a_worker, ()).unwrap().join().unwrap();
    assert!(
        listed.contains(" 1 -> ") && !listed.contains("memfd"),
        "{listed}"
    );
    // By fork what is open in the program is open in the worker.
    let _own = own();
    let command = ctx.command("/bin/sh").args(list).stdout(Stdio::piped());
    let mut command = command.start().unwrap();
    let mut listed = String::new();
    command
        .take_stdout()
        .unwrap()
        .read_to_string(&mut listed)
        .unwrap();
    assert!(command.join(None).unwrap().unwrap().success());
    assert!(
        listed.contains(" 1 -> ") && !listed.contains("memfd"),
        "{listed}"
    );
}

fn outlive(gate: PathBuf) -> Result<(), std::io::Error> {
    wait_for(gate)?;
    std::fs::write("made", sum(table()).to_string())?;
    std::fs::rename("made", "sum")
}

/// A worker has it when its zygote is no more.
pub(crate) fn when_the_zygote_ends(ctx: &Context) {
    if differs("preloads").is_some() {
        return;
    }
    let gate = fifo();
    let process = ctx.process(outlive, gate.clone()).start().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let zygote: i32 = rest.split(' ').nth(1).unwrap().parse().unwrap();
    assert_ne!(zygote.unsigned_abs(), std::process::id());
    kill(Pid::from_raw(zygote), Signal::SIGKILL).unwrap();
    eventually("it ends", || (!lives(zygote)).then_some(()));
    std::fs::write(gate, "").unwrap();
    let told = eventually("it has read", || std::fs::read_to_string("sum").ok());
    assert_eq!(told, SUM.to_string());
    // Without its zygote nobody may know how it ended.
    eventually("it ends", || (!process.is_alive()).then_some(()));
}
