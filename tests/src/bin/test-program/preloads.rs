//! Preloads.

use super::faults::{fault, hang, note, variable};
use mpfork::Progress;
use mpfork_tests::harness::wait::{LIMIT, within};
use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

type BoxError = Box<dyn Error + Send + Sync>;

mpfork::preload! {
    /// Tells by a line in the file `TEST_COUNT` that it was loaded.
    pub(crate) static COUNTED: String = load_counted;
    name = "counted",
    env = ["TEST_COUNT", "TEST_VALUE"],
}

fn load_counted() -> std::io::Result<String> {
    note("TEST_COUNT", "loaded")?;
    Ok(variable("TEST_VALUE").unwrap_or_default())
}

mpfork::preload! {
    /// Goes wrong as `TEST_FAULT` says.
    static FAULTY: Option<File> = load_faulty;
    name = "faulty",
    after = ["counted"],
    env = ["TEST_FAULT", "TEST_GATE"],
}

mpfork::preload! {
    /// Never ends, when `TEST_FAULT` says so.
    static HANGING: () = || if fault("hang") { hang() };
    name = "hanging",
    after = ["faulty"],
    time_limit = Duration::from_millis(300),
}

mpfork::preload! {
    /// Children that a preload has, and never waits for.
    static PARENT: Vec<Child> = load_parent;
    name = "parent",
    after = ["faulty"],
}

/// With the fault "scatter".
static PIECES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Writes to pieces here and there.
pub(crate) fn scatter() {
    let mut pieces = PIECES.lock().unwrap_or_else(PoisonError::into_inner);
    for piece in pieces.iter_mut().step_by(4000) {
        piece.fill(2);
    }
}

#[derive(Debug)]
struct Unreadable(std::num::ParseIntError);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the list can't be read")
    }
}

impl Error for Unreadable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn load_faulty(progress: &Progress) -> Result<Option<File>, BoxError> {
    match variable("TEST_FAULT").as_deref() {
        Some("chain") => {
            "many".parse::<u32>().map_err(Unreadable)?;
        }
        Some("panic") => panic!("no {}", "way"),
        Some("abort") => std::process::abort(),
        Some("exit") => leave(),
        Some("thread") => {
            let thread = std::thread::Builder::new().name("left-over".to_owned());
            thread.spawn(|| hang())?;
        }
        Some("megabytes") => print_megabytes()?,
        Some("megabytes-chain") => {
            print_megabytes()?;
            "many".parse::<u32>().map_err(Unreadable)?;
        }
        // So much that a fork takes its time.
        Some("heavy") => {
            let pieces: Vec<Vec<u8>> = (0..100_000).map(|_| vec![1; 1000]).collect();
            std::mem::forget(pieces);
        }
        Some("shared") => {
            Box::leak(Box::new(mpfork::Shared::from_slice(&[7; 100])?));
        }
        // The same, to be written to before each fork.
        Some("scatter") => {
            let pieces = (0..100_000).map(|_| vec![1; 1000]);
            PIECES
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(pieces);
        }
        Some("descriptor") => return Ok(Some(File::open("/etc/passwd")?)),
        Some("progress") => tell_progress(progress)?,
        // Once it has worked: to fail a reload.
        Some("gate-fails") if gate_is_shut() => return Err("the gate is shut".into()),
        Some("gate-waits") => wait_for_gate(progress)?,
        _ => {}
    }
    Ok(None)
}

#[allow(clippy::exit)]
fn leave() -> ! {
    std::process::exit(5)
}

fn print_megabytes() -> std::io::Result<()> {
    let line = [b'x'; 1023];
    let mut stdout = std::io::stdout().lock();
    for _ in 0..4096 {
        stdout.write_all(&line)?;
        stdout.write_all(b"\n")?;
    }
    stdout.write_all(b"the end of it\n")
}

fn gate() -> Option<String> {
    variable("TEST_GATE")
}

fn gate_is_shut() -> bool {
    gate().is_some_and(|gate| std::fs::exists(gate).unwrap_or(false))
}

/// Waits until somebody opens the named pipe for writing and closes it.
fn wait_for_gate(progress: &Progress) -> Result<(), BoxError> {
    progress.message("waiting at the gate");
    let gate = gate().ok_or("no gate")?;
    std::fs::read(gate)?;
    Ok(())
}

/// Tells one third until the file `GATE.1` is there, then two thirds until `GATE.2` is.
fn tell_progress(progress: &Progress) -> Result<(), BoxError> {
    let gate = gate().ok_or("no gate")?;
    for (third, text) in [(1, "one third"), (2, "two thirds")] {
        let open = within(LIMIT, || {
            progress.report(f64::from(third) / 3.0, text);
            std::fs::exists(format!("{gate}.{third}"))
                .ok()?
                .then_some(())
        });
        open.ok_or("nobody opens the gate")?;
    }
    Ok(())
}

fn load_parent() -> std::io::Result<Vec<Child>> {
    if !fault("children") {
        return Ok(Vec::new());
    }
    // One that ends at once and stays a zombie, and one that stays.
    ["true", "exec sleep 600"]
        .into_iter()
        .map(|script| {
            Command::new("/bin/sh")
                .args(["-c", script])
                .env("PATH", "/usr/bin:/bin")
                .stdout(Stdio::null())
                .spawn()
        })
        .collect()
}
