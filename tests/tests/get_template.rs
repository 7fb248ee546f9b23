//! `GetTemplate`: all that is known of a template.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{GetTemplateRequest, TemplateSpec, TemplateState};
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, check, eventually_async, refused, template};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

#[test]
fn a_template_is_described_cold_warm_and_used() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let program = test_program();
        let spec = TemplateSpec {
            args: vec![b"one".to_vec(), b"two".to_vec()],
            ..template(&program, &[("TEST_FAULT", "descriptor")])
        };
        let digest = client.try_register(&program, spec).await.unwrap().digest;
        let cold = client.template(&digest).await;
        assert_eq!(cold.name, "test-program");
        assert_eq!(
            (cold.state(), cold.configured),
            (TemplateState::Cold, false)
        );
        assert_eq!(cold.program, program.as_os_str().as_bytes());
        assert_eq!(cold.args, [b"one", b"two"]);
        assert_eq!(
            (cold.zygote_pid, cold.memory, cold.preload_time),
            (0, None, None)
        );
        assert!(cold.reason.contains("next start"), "{cold:?}");
        for _ in 0..20 {
            assert!(
                client
                    .exit_of(function(&digest, "value", ()))
                    .await
                    .success()
            );
        }
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        let used = eventually_async("its memory is sampled", async || {
            let template = client.template(&digest).await;
            template.memory.is_some().then_some(template)
        })
        .await;
        assert_eq!(used.state(), TemplateState::Warm);
        assert_eq!(
            (
                used.workers_running,
                used.workers_started,
                used.workers_failed
            ),
            (1, 21, 0)
        );
        let memory = used.memory.unwrap();
        assert!(memory.rss_bytes > 0 && memory.sampled.is_some());
        let latency = used.start_latency.unwrap();
        assert_eq!(latency.count, 21);
        assert!(latency.p50_us > 0 && latency.p50_us <= latency.p99_us);
        let preload = Duration::try_from(used.preload_time.unwrap()).unwrap();
        assert!(preload > Duration::ZERO && preload < Duration::from_secs(30));
        assert_eq!(used.kept_descriptors.len(), 1);
        assert_eq!(used.kept_descriptors[0].what, "/etc/passwd");
        // A linker may be told to make none.
        let id = mpfork_sys::image::build_id().map_or(0, <[u8]>::len);
        assert_eq!((cold.build_id.as_str(), used.build_id.len()), ("", 2 * id));
        assert!(used.reason.is_empty() && used.last_error.is_empty());
        client.signal(run.id(), 9, false).await.unwrap();
        run.exit().await;
        assert_eq!(client.template(&digest).await.workers_running, 0);
    });
}

#[test]
fn shared_memory_of_a_preload_is_one_descriptor_that_is_kept() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_FAULT", "shared")]).await;
        client.warm(&digest).await.unwrap();
        let kept = client.template(&digest).await.kept_descriptors;
        let kept: Vec<_> = kept.into_iter().map(|kept| kept.what).collect();
        assert_eq!(kept, ["/memfd:mpfork-shared (deleted)"]);
    });
}

#[test]
fn the_beginning_of_a_digest_names_a_template() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        assert_eq!(client.template(&digest[..6]).await.digest, digest);
        for name in [&digest[..5], "", &digest[6..], "NOBODY", "./command"] {
            let request = GetTemplateRequest {
                template: name.to_owned(),
            };
            let answer = client.templates().get_template(request).await;
            let problem = refused(answer, Reason::UnknownTemplate);
            assert_eq!(problem.get("template"), name);
        }
    });
}

#[test]
fn a_programs_name_names_its_only_template() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        assert_eq!(client.template("test-program").await.digest, digest);
        assert!(
            client
                .exit_of(function("test-program", "value", ()))
                .await
                .success()
        );
        let other = client.test_template(&[("TEST_VALUE", "other")]).await;
        let request = GetTemplateRequest {
            template: "test-program".to_owned(),
        };
        let answer = client.templates().get_template(request).await;
        let problem = refused(answer, Reason::UnknownTemplate);
        for part in ["any of 2", &digest[..12], &other[..12]] {
            assert!(problem.message.contains(part), "{part}: {problem}");
        }
        client.remove(&digest).await.unwrap();
        assert_eq!(client.template("test-program").await.digest, other);
    });
}
