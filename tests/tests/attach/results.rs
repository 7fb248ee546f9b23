//! Results of functions over the call.

use mpfork_proto::v1::{WorkerSpec, failure, task};
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, check};

/// A call of a function whose result is to come.
pub(crate) fn call(template: &str, name: &str, argument: impl serde::Serialize) -> WorkerSpec {
    let mut spec = function(template, name, argument);
    if let Some(task::Task::Function(function)) = spec.task.as_mut().unwrap().task.as_mut() {
        function.result = true;
    }
    spec
}

#[test]
fn results_of_all_sizes_come_after_the_output() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let template = client.test_template(&[]).await;
        for size in [0, 1, 60_000, 65_536, 65_537, 3 << 20] {
            let text = "é".repeat(size / 2);
            let spec = call(&template, "echo", &text);
            let all = client.attach(spec).await.everything().await;
            assert!(all.exit.success(), "{:?}", all.exit);
            let result: String = rmp_serde::from_slice(&all.result).unwrap();
            assert!(result == text, "{size}");
        }
        let all = client.attach(call(&template, "print", ())).await;
        let all = { all }.everything().await;
        assert_eq!(all.stdout, b"no newline");
        assert_eq!(all.result, b"\xc0", "nil");
    });
}

#[test]
fn a_function_that_fails_has_none() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let template = client.test_template(&[]).await;
        let spec = call(&template, "panic", "so it is");
        let all = client.attach(spec).await.everything().await;
        assert!(all.result.is_empty());
        assert_eq!(all.exit.exitcode(), 1);
        let failure = all.exit.failure.unwrap();
        assert_eq!(
            (failure.kind(), failure.message.as_str()),
            (failure::Kind::Panic, "so it is")
        );
        assert!(String::from_utf8(all.stderr).unwrap().contains("so it is"));
        let killed = client.attach(call(&template, "raise", 9)).await;
        let killed = { killed }.everything().await;
        assert_eq!((killed.result.len(), killed.exit.exitcode()), (0, -9));
    });
}

#[test]
fn a_result_whose_answer_was_lost_can_be_had_again() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let template = client.test_template(&[]).await;
        let spec = call(&template, "echo", "x".repeat(200_000));
        let first = client.attach(spec.clone()).await.everything().await;
        let again = client.attach(spec).await.everything().await;
        assert_eq!(first.result.len(), 200_005);
        assert_eq!(first.result, again.result);
    });
}

#[test]
fn a_result_is_whole_however_many_workers_end_meanwhile() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let template = client.test_template(&[]).await;
        let spec = call(&template, "echo", "x".repeat(3 << 20));
        // Nothing of it is read before.
        let mut attached = client.attach(spec).await;
        let others = daemon.connect().await;
        for _ in 0..80 {
            let other = others.attach(call(&template, "print", ())).await;
            assert!({ other }.everything().await.exit.success());
        }
        let all = attached.everything().await;
        assert_eq!(
            (all.result.len(), all.exit.success()),
            ((3 << 20) + 5, true)
        );
    });
}
