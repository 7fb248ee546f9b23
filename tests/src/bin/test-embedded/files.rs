//! The program's own file.

use super::common::{LONG, context, hold};
use mpfork::{Context, Error, StartMethod};

fn contexts() -> [Context; 2] {
    [StartMethod::ForkServer, StartMethod::Spawn].map(|method| mpfork::get_context(method).unwrap())
}

fn start_one(method: String) -> i32 {
    let ctx = mpfork::get_context(method.parse::<StartMethod>().unwrap()).unwrap();
    let mut process = ctx.process(hold, ".".to_owned()).start().unwrap();
    process.join(Some(LONG)).unwrap().unwrap().exitcode()
}

/// It is gone, and something else is in its place.
pub(crate) fn deleted() {
    let own = std::env::current_exe().unwrap();
    std::fs::remove_file(&own).unwrap();
    std::fs::write(&own, "something else").unwrap();
    for ctx in contexts() {
        for method in ["forkserver", "spawn"] {
            let worker = ctx.spawn(start_one, method.to_owned()).unwrap();
            assert_eq!(worker.join().unwrap(), 0, "{method}");
        }
    }
}

/// Who executes it gets other rights.
pub(crate) fn set_id() {
    for ctx in contexts() {
        let error = ctx.process(hold, ".".to_owned()).start().unwrap_err();
        assert!(matches!(error, Error::BadProgram { .. }), "{error}");
        assert!(error.to_string().contains("set-user-id"), "{error}");
    }
    assert!(context().server().is_err());
}

/// It was not executed, but loaded by another program, which is what would be executed again.
pub(crate) fn loaded() {
    for ctx in contexts() {
        for _ in 0..2 {
            let error = ctx.process(hold, ".".to_owned()).start().unwrap_err();
            assert!(matches!(error, Error::BadProgram { .. }), "{error}");
            assert!(error.to_string().contains("has only loaded"), "{error}");
        }
    }
}
