//! What goes around each scenario, and what scenarios have in common.

use super::differences::difference;
use mpfork::{Context, Exit, Failure, Process, ProcessBuilder, Stdio, WorkerError};
use nix::sys::signal::Signal::{
    SIGALRM as ALRM, SIGCHLD as CHLD, SIGHUP as HUP, SIGINT as INT, SIGQUIT as QUIT,
    SIGTERM as TERM, SIGUSR1 as USR1, SIGUSR2 as USR2,
};
use std::fmt::{Debug, Write as _};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A scenario that takes longer is ended by SIGALRM.
const DEADLINE_SECONDS: u32 = 100;

/// The default context: of the start method that the environment names, or of the one that made this
/// process.
pub(crate) fn context() -> Context {
    mpfork::get_context(None).unwrap()
}

fn begin() -> Context {
    // Whoever runs the tests may ignore signals, as nohup does.
    for signal in [HUP, INT, QUIT, USR1, USR2, TERM, CHLD, ALRM] {
        mpfork_sys::signals::set_default(signal).unwrap();
    }
    nix::unistd::alarm::set(DEADLINE_SECONDS);
    let ctx = context();
    let method = std::env::var("MPFORK_START_METHOD").unwrap();
    assert_eq!(ctx.start_method().name(), method);
    ctx
}

/// Runs a scenario that leaves something for the program's end.
pub(crate) fn to_the_end(scenario: fn(&Context)) {
    scenario(&begin());
}

/// Runs a scenario between two looks at this process: it has no more descriptors and children
/// afterwards.
pub(crate) fn frame(scenario: fn(&Context)) {
    let ctx = begin();
    // What the crate keeps for later starts is there then.
    assert_eq!(ctx.spawn(|n: u8| n, 1).unwrap().join().unwrap(), 1);
    let before = holdings();
    scenario(&ctx);
    let settled = within(LONG, || {
        // Those whose object was dropped are kept until somebody looks.
        drop(mpfork::active_children());
        // Nobody else lets the crate see that connections of runtimes that are gone have ended.
        let _ = ctx.spawn(|| (), ()).and_then(mpfork::Handle::join);
        let now = holdings();
        (now.0.len() <= before.0.len() && now.1 == before.1).then_some(())
    });
    assert!(
        settled.is_some(),
        "descriptors and children before {before:?}, after {:?}",
        holdings()
    );
}

/// What is open, and the children: pid and state.
fn holdings() -> (Vec<String>, Vec<String>) {
    let own = std::process::id().to_string();
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let open = links.filter_map(|entry| {
        let link = std::fs::read_link(entry.ok()?.path()).ok()?;
        let link = link.into_os_string().into_string().ok()?;
        // The directory itself.
        (!link.ends_with(&format!("/{own}/fd"))).then_some(link)
    });
    let mut children: Vec<_> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            let (pid, rest) = stat.split_once(' ')?;
            let (comm, rest) = rest.rsplit_once(") ")?;
            let mut rest = rest.split(' ');
            let state = rest.next()?;
            let state = if state == "Z" { "zombie" } else { "alive" };
            (rest.next()? == own).then(|| format!("{pid} {comm} {state}"))
        })
        .collect();
    children.sort();
    (open.collect(), children)
}

/// How this way differs from the others in this respect, if it does.
pub(crate) fn differs(name: &str) -> Option<&'static str> {
    let method = std::env::var("MPFORK_START_METHOD").unwrap();
    let way = match (method.as_str(), std::env::var("MPFORK_SERVER")) {
        ("forkserver", Ok(server)) => server,
        _ => method,
    };
    difference(name, &way)
}

/// Waits until the condition gives something, no longer than `limit`.
pub(crate) fn within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if begun.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Waits until the condition gives something.
pub(crate) fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(LONG, condition).unwrap_or_else(|| panic!("not within {LONG:?}: {what}"))
}

/// Whether a process runs; a zombie does not.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// A new named pipe: who reads it waits until it is written to.
pub(crate) fn fifo() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let gate = std::env::current_dir()
        .unwrap()
        .join(format!("gate-{number}"));
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    gate
}

/// For workers: waits until somebody writes to the named pipe, and returns that.
pub(crate) fn wait_for(gate: PathBuf) -> Result<String, std::io::Error> {
    std::fs::read_to_string(gate)
}

/// For workers: as [`wait_for`], without a result.
pub(crate) fn hang_at(gate: PathBuf) -> Result<(), std::io::Error> {
    wait_for(gate).map(drop)
}

/// A process that runs until its gate is written to.
pub(crate) fn hanging(ctx: &Context) -> (Process, PathBuf) {
    let gate = fifo();
    let process = ctx.process(hang_at, gate.clone()).start().unwrap();
    (process, gate)
}

/// Runs it to its end; its exit, and what it printed to both its streams.
pub(crate) fn ended(process: ProcessBuilder) -> (Exit, String, String) {
    let process = process.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = process.start().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    let mut stdout = process.take_stdout().unwrap();
    let mut stderr = process.take_stderr().unwrap();
    // Little is printed: no pipe gets full.
    stdout.read_to_string(&mut out).unwrap();
    stderr.read_to_string(&mut err).unwrap();
    let exit = process.join(None).unwrap().unwrap();
    assert_eq!(process.exitcode(), Some(exit.exitcode()));
    (exit, out, err)
}

/// The error of a call whose worker failed.
pub(crate) fn worker_error<T: Debug>(result: Result<T, mpfork::Error>) -> WorkerError {
    match result {
        Err(mpfork::Error::Worker(error)) => *error,
        other => panic!("{other:?}"),
    }
}

/// Its failure.
pub(crate) fn failure<T: Debug>(result: Result<T, mpfork::Error>) -> Failure {
    worker_error(result).failure.unwrap()
}

/// Says what an error is: its variant and its words, with nothing in them that each run has anew.
pub(crate) fn say_error(error: &mpfork::Error) {
    let reason = error.reason().map(|reason| format!(" {reason:?}"));
    println!(
        "{}{}, exit code {}: {}",
        variant(error),
        reason.unwrap_or_default(),
        error.exit_code(),
        plain(&error.to_string())
    );
}

/// Its name: an error shows itself by its words alone.
fn variant(error: &mpfork::Error) -> &'static str {
    macro_rules! names {
        ($($name:ident)*) => {
            match error {
                $(mpfork::Error::$name { .. } => stringify!($name),)*
                _ => panic!("a variant that has no name here: {error}"),
            }
        };
    }
    names! {
        NoServer
        ServerLost
        Server
        NotFrozen
        Worker
        Encode
        Decode
        Unsupported
        ForeignFunction
        NoStartMethod
        BadOverride
        HasThreads
        StartMethodFixed
        ConcreteContext
        UnknownPreload
        Daemonic
        StillRunning
        BadProgram
        Shared
        System
    }
}

/// What each machine, each run and each version of the sources has anew is told, but which it is is not
/// said: places in the sources, large numbers.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for word in text.split_inclusive([' ', '(']) {
        let (core, end) = word.split_at(word.trim_end().len());
        match core.split_once(".rs:") {
            Some((path, place)) => {
                let file = path.rsplit('/').next().unwrap_or(path);
                let after = place.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
                let colon = if place.ends_with(':') { ":" } else { "" };
                write!(plain, "{file}.rs:LINE:COLUMN{colon}{after}").unwrap();
            }
            None if core.len() > 4 && core.bytes().all(|byte| byte.is_ascii_digit()) => {
                plain.push_str("NUMBER");
            }
            None => plain.push_str(core),
        }
        plain.push_str(end);
    }
    plain
}
