//! Preloads that do what preloads do, and what they should not.

use mpfork_zygote::Progress;
use std::error::Error;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// What was loaded, in order.
static LOADED: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn loaded(name: &'static str) {
    LOADED.lock().unwrap_or_else(|e| e.into_inner()).push(name);
}

/// The order in which preloads were loaded in this process and its zygote.
pub(crate) fn order() -> String {
    let loaded = LOADED.lock().unwrap_or_else(|e| e.into_inner());
    loaded.join(",")
}

mpfork_zygote::preload! {
    /// Declared first, loaded second.
    pub(crate) static SECOND: String = || -> Result<String, std::env::VarError> {
        loaded("second");
        std::env::var("PROBE_VALUE")
    };
    name = "second",
    after = ["first"],
    env = ["PROBE_VALUE"],
    time_limit = Duration::from_secs(30),
}

mpfork_zygote::preload! {
    static FIRST: Vec<u64> = load_first;
    name = "first",
}

fn load_first() -> Vec<u64> {
    loaded("first");
    // Stays in the buffer unless somebody flushes it.
    print!("<first>");
    (0..1000).collect()
}

mpfork_zygote::preload! {
    static TALKATIVE: u32 = |progress: &Progress| {
        loaded("talkative");
        progress.report(0.5, "half");
        1
    };
    name = "talkative",
}

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the list can't be read")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

mpfork_zygote::preload! {
    static FAILING: u32 = |_: &Progress| "many".parse::<u32>().map_err(Outer);
    name = "failing",
}

mpfork_zygote::preload! {
    static DEPENDENT: u32 = || *FAILING;
    name = "dependent",
    after = ["failing"],
}

mpfork_zygote::preload! {
    static PANICKING: u32 = || -> u32 { panic!("no {}", "way") };
    name = "panicking",
}

mpfork_zygote::preload! {
    static SELFISH: u32 = || -> u32 { *SELFISH + 1 };
    name = "selfish",
}

mpfork_zygote::preload! {
    static THREADED: std::thread::JoinHandle<()> = || {
        std::thread::Builder::new()
            .name("left-over".to_owned())
            .spawn(|| std::thread::sleep(Duration::from_secs(600)))
    };
    name = "threaded",
}

mpfork_zygote::preload! {
    static JOINED: u32 = || {
        let thread = std::thread::spawn(|| 1);
        thread.join().unwrap_or(0)
    };
    name = "joined",
}

mpfork_zygote::preload! {
    static KEEPER: File = || File::open("/etc/passwd");
    name = "keeper",
}

mpfork_zygote::preload! {
    /// What a hook closes before a fork.
    static LENT: Mutex<Option<File>> = || File::open("/etc/passwd").map(|file| Mutex::new(Some(file)));
    name = "lent",
}

/// Closes it.
pub(crate) fn give_back() {
    if LENT.is_loaded() {
        drop(LENT.lock().unwrap_or_else(|e| e.into_inner()).take());
    }
}

mpfork_zygote::preload! {
    /// Takes its time when the zygote ends: as long as there is this file.
    static LINGERING: bool = || mpfork_sys::exit::at_exit(linger);
    name = "lingering",
}

extern "C" fn linger() {
    let path = std::env::var_os("PROBE_LINGERS").unwrap_or_default();
    while std::fs::exists(&path).is_ok_and(|there| there) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

mpfork_zygote::preload! {
    static SLOW: u32 = || {
        std::thread::sleep(Duration::from_secs(600));
        1
    };
    name = "slow",
}

mpfork_zygote::preload! {
    /// One that ends at once, one that ends with the zygote's standard input... never read, never
    /// waited for.
    static PARENT: Vec<Child> = || -> Result<Vec<Child>, std::io::Error> {
        let child = |script: &str| {
            Command::new("/bin/sh")
                .args(["-c", script])
                .stdin(Stdio::piped())
                .spawn()
        };
        Ok(vec![child("exit 5")?, child("read line")?])
    };
    name = "parent",
}

mpfork_zygote::preload! {
    static LAZY: u32 = || {
        loaded("lazy");
        *TALKATIVE + 41
    };
    name = "lazy",
    after = ["second"],
}

/// What nobody preloaded is loaded at first use.
pub(crate) fn lazy() -> u32 {
    *LAZY
}

/// The first child a preload has started: whether its zombie is still there, as a state letter.
pub(crate) fn strangers() -> String {
    let states = PARENT.iter().map(|child| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()));
        let stat = stat.unwrap_or_default();
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        state.unwrap_or('-')
    });
    states.collect()
}

/// In a program started as any other.
pub(crate) fn use_lazily() {
    println!("{} {:?} {}", *LAZY, SECOND.try_get(), order());
    for error in [FAILING.try_get().err(), DEPENDENT.try_get().err()] {
        println!("{}", error.map_or_else(String::new, ToString::to_string));
    }
    let panicked = PANICKING.try_get();
    println!("{panicked:?}");
    let panic = std::panic::catch_unwind(|| *FAILING);
    let message = panic
        .err()
        .and_then(|payload| payload.downcast::<String>().ok());
    println!("{message:?}");
    println!("{}", SELFISH.try_get().is_err());
    println!("{} {}", KEEPER.is_loaded(), JOINED.is_loaded());
    println!("{}", FIRST.len());
}

/// Never called: the registry alone loads these.
#[allow(dead_code)]
fn others() -> usize {
    let _ = (&*THREADED, *SLOW, *LINGERING);
    0
}
