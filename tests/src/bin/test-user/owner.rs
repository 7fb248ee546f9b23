//! Workers and the end of the program that started them.

use super::context;
use mpfork::OnOwnerDeath;

/// For workers: until they are ended.
pub(crate) fn hang() {
    loop {
        std::thread::park();
    }
}

/// For workers: until somebody writes to the named pipe.
pub(crate) fn wait_at(gate: String) -> std::io::Result<()> {
    std::fs::read(gate).map(drop)
}

/// Starts one of each kind, tells its kind, pid and id, and ends or waits to be killed. The owned one
/// ends when the gate is opened.
pub(crate) fn start_and(how: &str, gate: &str) {
    let ctx = context();
    let started = [
        ("owned", ctx.process(wait_at, gate.to_owned())),
        ("daemon", ctx.process(hang, ()).daemon(true)),
        (
            "kept",
            ctx.process(hang, ()).on_owner_death(OnOwnerDeath::Keep),
        ),
        ("detached", ctx.process(hang, ()).detached()),
    ];
    for (kind, builder) in started {
        let process = builder.start().unwrap();
        println!("{kind} {} {}", process.pid(), process.id().counter);
    }
    let command = ctx.command("sleep").arg("600").start().unwrap();
    println!("command {} {}", command.pid(), command.id().counter);
    println!("started");
    match how {
        "end" => {}
        "panic" => panic!("as it was told to"),
        #[allow(clippy::exit)] // it is what is tested
        "exit" => std::process::exit(0),
        _ => hang(),
    }
}
