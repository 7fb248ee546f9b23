//! The default start method, as the environment and the way the process was made say it.

use crate::context;
use mpfork::{Error, StartMethod, get_all_start_methods, get_context, get_start_method};

/// What the environment says: a method's name, or `wrong` and the text that is no method's.
pub(crate) fn default(expected: &[&str]) {
    assert_eq!(get_start_method(true), None);
    match expected {
        ["wrong", name] => wrong(name),
        [] => right(get_all_start_methods()[0], false),
        [name] => right(name.parse().unwrap(), true),
        _ => panic!("can't expect {expected:?}"),
    }
}

fn right(method: StartMethod, by_name: bool) {
    let ctx = get_context(None).unwrap();
    assert_eq!((ctx.start_method(), ctx.asked_by_name()), (method, by_name));
    assert_eq!(get_start_method(true), Some(method));
    // A worker begins with the method that made it.
    let made = context().spawn(
        || {
            get_start_method(true)
                .map(StartMethod::name)
                .map(str::to_owned)
        },
        (),
    );
    assert_eq!(made.unwrap().join().unwrap().as_deref(), Some("forkserver"));
}

fn wrong(name: &str) {
    for _ in 0..2 {
        assert_eq!(get_start_method(false), None);
        let error = get_context(None).unwrap_err();
        let Error::NoStartMethod { method, origin } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(
            (method.as_str(), *origin),
            (name, Some("MPFORK_START_METHOD"))
        );
        let text = error.to_string();
        for method in get_all_start_methods() {
            assert!(text.contains(method.name()), "{text}");
        }
        assert_eq!(error.exit_code(), 64);
    }
    assert!(mpfork::set_start_method(None, false).is_err());
    assert_eq!(get_start_method(true), None);
    // Where the program itself says which, it is not asked.
    mpfork::set_start_method(StartMethod::Spawn, false).unwrap();
    assert_eq!(get_start_method(false), Some(StartMethod::Spawn));
}
