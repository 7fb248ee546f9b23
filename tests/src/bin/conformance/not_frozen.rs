//! A program that has not called `freeze_support()`: this one has not, for this subject.

use crate::common::{differs, say_error};
use mpfork::{Context, Error, Handle};

pub(crate) fn starts(ctx: &Context) {
    let starts = [
        ctx.spawn(|n: u8| n, 1).and_then(Handle::join).map(drop),
        ctx.spawn_registered::<()>("nothing", &()).map(drop),
        ctx.process(|| (), ()).start().map(drop),
        ctx.process_main(["in-main", "0"]).start().map(drop),
    ];
    let needed = differs("freeze_support").is_none();
    for start in starts {
        match start {
            Err(error) => {
                assert!(needed && matches!(error, Error::NotFrozen), "{error:?}");
                say_error(&error);
            }
            Ok(()) => assert!(!needed),
        }
    }
}

/// Commands do not need it.
pub(crate) fn commands(ctx: &Context) {
    let mut command = ctx.command("true").start().unwrap();
    assert!(command.join(None).unwrap().unwrap().success());
}
