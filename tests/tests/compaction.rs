//! Zygotes whose memory is in huge pages: which are, and what mpforkd and mpctl tell of it.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1;
use mpfork_sys::memory;
use mpfork_tests::harness::programs::{program, test_program};
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, TestClient, check, eventually_async, refused};
use serde_json::Value;
use std::process::Command;

/// What the test program loads with the fault "heavy".
const HEAVY: u64 = 100_000_000;

async fn heavy(client: &TestClient) -> v1::Template {
    let digest = client.test_template(&[("TEST_FAULT", "heavy")]).await;
    warm(client, &digest).await
}

async fn warm(client: &TestClient, template: &str) -> v1::Template {
    client.warm(template).await.unwrap();
    client.template(template).await
}

fn step<'a>(compaction: &'a v1::Compaction, name: &str) -> &'a v1::compaction::Step {
    let mut steps = compaction.steps.iter();
    let found = steps.find(|step| step.name == name);
    found.unwrap_or_else(|| panic!("{compaction:?}"))
}

/// Whether this machine makes huge pages of memory that is there.
fn collapses() -> bool {
    let probed = memory::probe_collapse();
    if let Err(error) = &probed {
        eprintln!("not here: the kernel makes no huge pages: {error}");
    }
    probed.is_ok()
}

#[test]
fn what_is_preloaded_is_in_huge_pages_and_that_is_told() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let template = heavy(&client).await;
        let compaction = template.compaction.unwrap();
        assert_eq!(compaction.skipped, "");
        assert!(compaction.anonymous_bytes_before > HEAVY, "{compaction:?}");
        if collapses() {
            assert!(compaction.huge_bytes > HEAVY / 10 * 9, "{compaction:?}");
            assert_eq!(step(&compaction, "collapse").why, "");
        }
        let mpctl = |args: &[&str]| {
            let mut command = Command::new(program("mpctl-under-test"));
            let output = command
                .arg("--socket")
                .arg(daemon.socket())
                .args(args)
                .output();
            let output = output.unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let shown = mpctl(&["template", "show", &template.digest]);
        for fact in ["huge pages  ", "compacted in  ", " trim: ", " collapse: "] {
            assert!(shown.contains(fact), "{shown}");
        }
        let json: Value =
            serde_json::from_str(&mpctl(&["--json", "template", "show", &template.digest]))
                .unwrap();
        let told = &json["compaction"];
        assert_eq!(told["huge_bytes"], compaction.huge_bytes);
        assert_eq!(told["steps"][0]["name"], "malloc");
        assert!(told["fork_seconds_after"].as_f64().unwrap() > 0.0, "{told}");
        // mpforkd's own preloads nothing.
        let own = warm(&client, mpfork_proto::BUILTIN_TEMPLATE).await;
        assert!(own.compaction.unwrap().skipped.contains("little memory"));
    });
}

#[test]
fn nobody_sees_what_its_malloc_was_told() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for own in ["", "glibc.malloc.tcache_count=7"] {
            let env = [("TEST_FAULT", "heavy"), ("GLIBC_TUNABLES", own)];
            let set = if own.is_empty() { &env[..1] } else { &env[..] };
            let digest = client.test_template(set).await;
            let (seen, exit) = client.output_of(function(&digest, "environment", ())).await;
            assert_eq!(exit.exitcode(), 0);
            let mut names: Vec<&str> = set.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            assert_eq!(seen.lines().collect::<Vec<_>>(), names);
        }
    });
}

#[test]
fn the_configuration_and_a_template_decide() {
    let program = test_program();
    let table = |name: &str, keys: &str| {
        format!(
            "[templates.{name}]\nprogram = {program:?}\nenv = {{ TEST_FAULT = \"heavy\" }}\n{keys}\n"
        )
    };
    let tables = table("own-no", "compact = false") + &table("own-yes", "compact = true");
    for enabled in [true, false] {
        let config = format!("[compaction]\nenabled = {enabled}\n{tables}");
        check(Setup::new().config(&config), async |daemon| {
            let client = daemon.connect().await;
            let left = warm(&client, "own-no").await.compaction.unwrap();
            assert_eq!(left.skipped, "switched off");
            let done = warm(&client, "own-yes").await.compaction.unwrap();
            assert_eq!(done.skipped, "");
            let registered = heavy(&client).await.compaction.unwrap();
            let skipped = if enabled { "" } else { "switched off" };
            assert_eq!(registered.skipped, skipped);
        });
    }
}

#[test]
fn without_the_feature_or_time_the_rest_is_done() {
    let without = Setup::new().without_feature("collapse");
    let late = Setup::new().config("[compaction]\ntime_limit = \"1ns\"");
    for (setup, why) in [(without, "switched off"), (late, "time limit")] {
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            let template = heavy(&client).await;
            let compaction = template.compaction.unwrap();
            let collapse = step(&compaction, "collapse");
            assert!(collapse.why.contains(why), "{compaction:?}");
            assert_eq!(collapse.bytes, 0);
            let exit = client
                .exit_of(function(&template.digest, "value", ()))
                .await;
            assert_eq!(exit.exitcode(), 0);
        });
    }
}

#[test]
fn what_is_put_together_again_is_told() {
    if !collapses() {
        return;
    }
    let setup = Setup::new().config("[spares]\nmax = 0\n");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_FAULT", "scatter")]).await;
        let before = warm(&client, &digest).await.compaction.unwrap();
        let (mut alive, _) = client.run_until_line(function(&digest, "hang", ())).await;
        for _ in 0..20 {
            let exit = client.exit_of(function(&digest, "value", ())).await;
            assert_eq!(exit.exitcode(), 0);
        }
        let after = eventually_async("it is put together again", async || {
            let compaction = client.template(&digest).await.compaction.unwrap();
            (compaction.times_again > 0).then_some(compaction)
        })
        .await;
        assert!(after.bytes_again >= 16 << 20, "{after:?}");
        assert!(after.huge_bytes > before.huge_bytes / 10 * 9, "{after:?}");
        assert_eq!(after.steps, before.steps);
        client.signal(alive.id(), 9, false).await.unwrap();
        alive.exit().await;
    });
}

#[test]
fn where_nothing_is_forked_nothing_is_told() {
    check(Setup::new().without_feature("fork"), async |daemon| {
        let client = daemon.connect().await;
        assert_eq!(heavy(&client).await.compaction, None);
    });
}

#[test]
fn a_hook_after_preloading_that_fails_is_the_callers_error() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_FAULT", "freeze")]).await;
        let problem = refused(client.warm(&digest).await, Reason::HookFailed);
        assert_eq!(problem.get("hook"), "freeze");
        assert_eq!(problem.get("message"), "can't freeze");
        let started = client.try_run(function(&digest, "value", ())).await;
        refused(started, Reason::HookFailed);
        let digest = client
            .test_template(&[("TEST_FAULT", "freeze-thread")])
            .await;
        let problem = refused(client.warm(&digest).await, Reason::ZygoteHasThreads);
        assert_eq!(problem.get("threads"), "thawed");
        assert!(problem.message.contains("freeze"), "{problem:?}");
    });
}

#[test]
fn a_hook_that_hangs_is_noticed() {
    let config = "[timeouts]\npreload = \"1s\"\n[compaction]\ntime_limit = \"1s\"";
    check(Setup::new().config(config), async |daemon| {
        let client = daemon.connect().await;
        let digest = client
            .test_template(&[("TEST_FAULT", "freeze-hangs")])
            .await;
        let warming = client.warm(&digest);
        let problem = refused(warming.await, Reason::ZygoteFailed);
        assert!(
            problem.message.contains("has loaded everything"),
            "{problem:?}"
        );
        eventually_async("its zygote is gone", async || {
            (client.template(&digest).await.zygote_pid == 0).then_some(())
        })
        .await;
    });
}
