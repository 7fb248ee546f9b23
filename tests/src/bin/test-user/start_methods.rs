//! The default start method, as the environment and the way the process was made say it.

use super::context;
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
    let made = context().spawn(default_name, ());
    assert_eq!(made.unwrap().join().unwrap().as_deref(), Some("forkserver"));
}

/// The crate's own functions are those of the default context.
pub(crate) fn top_level() {
    assert_eq!(get_start_method(true), None);
    assert_eq!(
        mpfork::spawn(|n: u32| 2 * n, 21).unwrap().join().unwrap(),
        42
    );
    assert_eq!(get_start_method(true), Some(StartMethod::ForkServer));
    let registered = mpfork::spawn_registered::<u32>("double", &4_u32);
    assert_eq!(registered.unwrap().join().unwrap(), 8);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let called = async {
        let handle = mpfork::spawn_async(|n: u32| 2 * n, 3).await.unwrap();
        handle.join_async().await.unwrap()
    };
    assert_eq!(runtime.unwrap().block_on(called), 6);
    for (builder, code) in [
        (
            mpfork::process(|n: u8| std::process::ExitCode::from(n), 5),
            5,
        ),
        (mpfork::process_registered("double", &1_u32), 0),
        (mpfork::process_main(["in-main-ignored", "-"]), 1),
    ] {
        let mut process = builder.start().unwrap();
        process.join(None).unwrap();
        assert_eq!(process.exitcode(), Some(code));
    }
    let mut command = mpfork::command("false").start().unwrap();
    command.join(None).unwrap();
    assert_eq!(command.exitcode(), Some(1));
}

/// Neither mpforkd nor a server of its own, and nobody asked for either.
pub(crate) fn fallback() {
    let handle = mpfork::spawn(default_name, ()).unwrap();
    assert_eq!(get_start_method(true), Some(StartMethod::ForkServer));
    assert_eq!(handle.process().start_method(), StartMethod::Spawn);
    assert_eq!(handle.join().unwrap().as_deref(), Some("spawn"));
    let asked = context().spawn(default_name, ());
    assert!(matches!(asked, Err(Error::NoServer(_))), "{asked:?}");
}

fn default_name() -> Option<String> {
    get_start_method(true).map(|method| method.name().to_owned())
}

/// They say so where there is no default method.
fn nothing_starts() {
    let errors = [
        mpfork::spawn(|| (), ()).map(drop),
        mpfork::spawn_registered::<u32>("double", &4_u32).map(drop),
        mpfork::process(|| (), ()).start().map(drop),
        mpfork::process_registered("double", &1_u32)
            .start()
            .map(drop),
        mpfork::process_main(["x"]).start().map(drop),
        mpfork::command("true").start().map(drop),
    ];
    for error in errors.map(Result::unwrap_err) {
        assert!(matches!(error, Error::NoStartMethod { .. }), "{error:?}");
    }
}

mpfork::register!("double", |n: u32| 2 * n);

fn wrong(name: &str) {
    nothing_starts();
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
