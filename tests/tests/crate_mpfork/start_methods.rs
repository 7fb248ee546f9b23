//! Start methods as settings: the program is `test-user`, as the default is a process's own.

use super::common::check;
use super::user::{run, succeeds, user};
use mpfork::{Error, StartMethod, get_all_start_methods, get_context};

const VARIABLE: &str = "MPFORK_START_METHOD";

#[test]
fn the_operator_chooses_the_default() {
    check(|server| {
        run(server, &["default-method"]);
        succeeds(user(server, &["default-method"]).env(VARIABLE, ""));
        for method in get_all_start_methods() {
            let mut program = user(server, &["default-method", method.name()]);
            succeeds(program.env(VARIABLE, method.name()));
        }
        for wrong in ["nope", "Spawn", " "] {
            let mut program = user(server, &["default-method", "wrong", wrong]);
            succeeds(program.env(VARIABLE, wrong));
        }
    });
}

#[test]
fn the_crates_own_functions_are_the_default_contexts() {
    check(|server| {
        run(server, &["top-level"]);
    });
}

#[test]
fn an_async_main_is_frozen_before_its_runtime_has_threads() {
    check(|server| {
        let path = mpfork_tests::harness::programs::program("test-async-main");
        let mut program = std::process::Command::new(path);
        program.env_clear().env("MPFORKD_SOCKET", &server.socket);
        for server in ["mpforkd", "embedded"] {
            succeeds(program.env("MPFORK_SERVER", server));
        }
    });
}

#[test]
fn without_any_server_the_default_is_spawn_and_the_process_says_so() {
    check(|server| {
        let mut program = user(server, &["fallback"]);
        program.env("MPFORKD_SOCKET", server.folder.join("none.sock"));
        succeeds(program.env("MPFORK_SERVER", "mpforkd"));
    });
}

#[test]
fn the_default_context_works_as_the_one_asked_for() {
    check(|server| {
        // Nothing else in this process sets another method.
        let default = get_context(None).unwrap().with_socket(&server.socket);
        assert_eq!(default.start_method(), get_all_start_methods()[0]);
        assert_eq!(
            default.spawn(|n: u32| 2 * n, 21).unwrap().join().unwrap(),
            42
        );
        let error = default
            .set_start_method(StartMethod::Spawn, true)
            .unwrap_err();
        assert!(matches!(error, Error::ConcreteContext { .. }), "{error:?}");
    });
}
