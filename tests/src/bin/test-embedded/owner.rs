//! What becomes of processes when the one that started them is killed.

use super::common::{LONG, file, hold, wait_for};
use mpfork::{Context, OnOwnerDeath, StartMethod, Stdio};

fn context(method: &str) -> Context {
    mpfork::get_context(method.parse::<StartMethod>().unwrap()).unwrap()
}

/// Starts some of each kind, tells their pids, and waits to be killed.
pub(crate) fn start_all(method: &str) {
    let ctx = context(method);
    let tell = |kind: &str, pid: i32| println!("{kind} {pid}");
    let process = || {
        ctx.process(hold, "go-on".to_owned())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
    };
    let owned = process().start().unwrap();
    tell("owned", owned.pid());
    let daemon = process().daemon(true).start().unwrap();
    tell("daemon", daemon.pid());
    let command = ctx.command("sleep").arg("600").start().unwrap();
    tell("command", command.pid());
    let kept = process().on_owner_death(OnOwnerDeath::Keep).start();
    tell("kept", kept.unwrap().pid());
    let detached = process().detached().start().unwrap();
    tell("detached", detached.pid());
    let nesting = ctx.process(start_one, method.to_owned()).start().unwrap();
    tell("nesting", nesting.pid());
    wait_for("nested");
    let nested = std::fs::read_to_string(file("nested")).unwrap();
    tell("nested", nested.parse().unwrap());
    println!("started");
    std::thread::sleep(LONG);
}

fn start_one(method: String) {
    let mut process = context(&method)
        .process(hold, "go-on".to_owned())
        .start()
        .unwrap();
    let pid = process.pid().to_string();
    std::fs::write(file("writing"), pid).unwrap();
    std::fs::rename(file("writing"), file("nested")).unwrap();
    process.join(None).unwrap();
}
