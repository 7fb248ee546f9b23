//! Programs and an mpforkd that can't fork.

use super::common::check_setup;
use mpfork::{Error, StartMethod};
use mpfork_tests::harness::Setup;

#[test]
fn programs_are_told_and_refused_where_they_asked_for_forkserver_by_its_name() {
    check_setup(Setup::new().without_feature("fork"), async |daemon| {
        let socket = daemon.socket().to_owned();
        let thread = std::thread::spawn(move || {
            let named = mpfork::get_context(StartMethod::ForkServer).unwrap();
            let named = named.with_socket(&socket);
            let error = named.spawn(|n: u32| n + 1, 1).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
            assert!(error.to_string().contains("can't fork"), "{error}");
            // What is executed anyhow is no matter.
            let mut command = named.command("true").start().unwrap();
            assert_eq!(command.join(None).unwrap().unwrap().exitcode(), 0);
            let default = mpfork::get_context(None).unwrap().with_socket(&socket);
            let call = default.spawn(
                |n: u32| (n + 1, mpfork::get_start_method(true).map(|m| m.to_string())),
                1,
            );
            let call = call.unwrap();
            assert_eq!(call.process().start_method(), StartMethod::Spawn);
            assert_eq!(call.join().unwrap(), (2, Some("spawn".to_owned())));
        });
        thread.join().unwrap();
    });
}
