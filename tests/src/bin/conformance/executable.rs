//! What is executed in place of the program.

use super::common::{differs, say_error};
use mpfork::{Context, Error};

/// It is no concern of commands, but where a server of the program's own must be executed for them.
pub(crate) fn that_commands_do_without(ctx: &Context) {
    mpfork::set_executable("/missing/program");
    let command = ctx.command("true").start();
    match (command, differs("executable")) {
        (Err(error), Some(_)) => {
            assert!(matches!(error, Error::BadProgram { .. }), "{error}");
            say_error(&error);
        }
        (Ok(mut process), None) => {
            assert!(process.join(None).unwrap().unwrap().success());
        }
        other => panic!("{other:?}"),
    }
}
