//! Daemon processes.

use super::common::{fifo, hang_at};
use mpfork::Context;

pub(crate) fn is_told(ctx: &Context) {
    for daemon in [true, false] {
        let gate = fifo();
        let builder = ctx.process(hang_at, gate.clone()).daemon(daemon);
        let mut process = builder.start().unwrap();
        assert_eq!(process.daemon(), daemon);
        std::fs::write(gate, "").unwrap();
        assert!(process.join(None).unwrap().unwrap().success());
    }
    let unsaid = ctx.process(|| (), ()).start().unwrap();
    assert!(!unsaid.daemon());
    let mut unsaid = unsaid;
    unsaid.join(None).unwrap();
}
