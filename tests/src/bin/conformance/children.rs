//! Processes as their parent sees them, and as they see themselves.

use crate::common::{context, hanging};
use mpfork::{Context, StartMethod};

pub(crate) fn have_pids(ctx: &Context) {
    let (mut process, gate) = hanging(ctx);
    assert!(process.is_alive() && crate::common::lives(process.pid()));
    assert_eq!(process.start_method(), ctx.start_method());
    std::fs::write(gate, "").unwrap();
    process.join(None).unwrap();
    assert!(!process.is_alive());
    let call = ctx.spawn(std::process::id, ()).unwrap();
    let pid = call.process().pid();
    assert_eq!(i64::from(call.join().unwrap()), i64::from(pid));
    assert_ne!(i64::from(pid), i64::from(std::process::id()));
}

pub(crate) fn know_themselves(ctx: &Context) {
    let me = mpfork::current_process();
    assert_eq!((me.name.as_str(), me.worker), ("MainProcess", None));
    assert_eq!(me.pid, std::process::id());
    let know = || {
        let me = mpfork::current_process();
        let method: StartMethod = context().start_method();
        (me.name, me.pid, me.worker.is_some(), method.to_string())
    };
    let call = ctx.spawn(know, ()).unwrap();
    let (name, pid) = (call.process().name().to_owned(), call.process().pid());
    let expected = (
        name,
        u32::try_from(pid).unwrap(),
        true,
        ctx.start_method().to_string(),
    );
    assert_eq!(call.join().unwrap(), expected);
}
