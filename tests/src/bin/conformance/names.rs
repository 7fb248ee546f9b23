//! Names.

use super::common::{ended, hanging, say_error};
use mpfork::Context;

pub(crate) fn given_and_made(ctx: &Context) {
    let own_name = || println!("{}", mpfork::current_process().name);
    let (_, printed, _) = ended(ctx.process(own_name, ()).name("w1"));
    assert_eq!(printed, "w1\n");
    let (_, printed, _) = ended(ctx.process(own_name, ()).name("ä b"));
    assert_eq!(printed, "ä b\n");
    let (process, gate) = hanging(ctx);
    assert_eq!(process.name(), format!("Process-{}", process.id().counter));
    let (other, other_gate) = hanging(ctx);
    assert_ne!(other.name(), process.name());
    assert_ne!(other.id(), process.id());
    for (mut process, gate) in [(process, gate), (other, other_gate)] {
        std::fs::write(gate, "").unwrap();
        process.join(None).unwrap();
    }
    // A call has its function's.
    let call = ctx.spawn(|| mpfork::current_process().name, ()).unwrap();
    let shown = call.process().name().to_owned();
    assert!(shown.contains("given_and_made"), "{shown}");
    assert_eq!(call.join().unwrap(), shown);
}

pub(crate) fn too_long(ctx: &Context) {
    let fits = ctx.process(|| (), ()).name("n".repeat(256));
    assert!(ended(fits).0.success());
    let long = ctx.process(|| (), ()).name("n".repeat(257)).start();
    say_error(&long.unwrap_err());
}

/// For workers: what the system shows of this process.
fn shown(file: &str) -> String {
    std::fs::read_to_string(format!("/proc/self/{file}")).unwrap()
}

/// As the system has them, of a program that was executed as usual.
pub(crate) fn as_ps_shows_them(ctx: &Context) {
    let shown = || ["comm", "cmdline"].map(shown);
    let [comm, line] = ctx.spawn(shown, ()).unwrap().join().unwrap();
    assert_eq!(comm, "conformance\n");
    let program = std::env::args().next().unwrap();
    assert_eq!(line.split('\0').next(), Some(program.as_str()), "{line}");
    assert!(!line.contains("(room"), "{line}");
}

/// Whoever prints a process or a call sees which it is, and nothing of what is behind it.
pub(crate) fn as_they_are_printed(ctx: &Context) {
    let call = ctx.spawn(|| (), ()).unwrap();
    let own = call.process();
    let expected = format!(
        "{{ name: {:?}, pid: {}, start_method: {:?}, .. }}",
        own.name(),
        own.pid(),
        own.start_method()
    );
    assert_eq!(format!("{own:?}"), format!("Process {expected}"));
    assert_eq!(format!("{call:?}"), format!("Handle {expected}"));
    call.join().unwrap();
}
