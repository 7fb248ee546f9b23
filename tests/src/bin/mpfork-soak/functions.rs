//! What the workers of the soak do, by the names the mix uses.

use nix::sys::signal::{SigSet, Signal, raise};

mpfork::register!("soak-nothing", || ());
mpfork::register!("soak-exit", exit);
mpfork::register!("soak-raise", raise_signal);
mpfork::register!("soak-panic", panic);
mpfork::register!("soak-fail", fail);
mpfork::register!("soak-hang", hang);
mpfork::register!("soak-deaf", deaf);

#[allow(clippy::exit)]
fn exit(code: i32) {
    std::process::exit(code)
}

fn raise_signal(number: i32) -> Result<(), nix::Error> {
    raise(Signal::try_from(number)?)
}

fn panic() {
    panic!("as it should")
}

fn fail() -> Result<(), std::io::Error> {
    Err(std::io::Error::other("as it should"))
}

fn hang() {
    loop {
        std::thread::park();
    }
}

/// TERM stays pending for ever.
fn deaf() -> Result<(), nix::Error> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTERM);
    mask.thread_block()?;
    hang();
    Ok(())
}
