//! What a spare is to its program: the same as a worker that was forked for its start.

use super::{ALWAYS, COUNT, NEVER, spares};
use mpfork_proto::v1::{Rlimit, StartState, StartWay, exit};
use mpfork_sys::limits;
use mpfork_tests::harness::spec::{self, function, shell};
use mpfork_tests::harness::{Daemon, Run, Setup, TestClient, check, eventually_async};
use serde_json::Value;
use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

/// A daemon that forks each worker when it is started, or all ahead.
struct Place<'a> {
    daemon: &'a Daemon,
    client: TestClient,
    template: String,
    way: StartWay,
}

impl Place<'_> {
    /// Waits for spares where there are to be some.
    async fn ready(&self) {
        if self.way == StartWay::Spare {
            spares(&self.client, &self.template, COUNT).await;
        }
    }

    /// That it went the way it was to go.
    async fn check_way(&self) {
        let template = self.client.template(&self.template).await;
        let ways = template.starts_by_way.iter().map(|starts| starts.way());
        assert_eq!(ways.collect::<Vec<_>>(), [self.way]);
    }

    fn is_it(&self, run: &Run) {
        assert_eq!(run.started.way(), self.way);
    }
}

/// The same with both; what came of it, of forks first. The template is the test program's with this
/// environment.
fn both<T>(env: &[(&str, &str)], run: impl AsyncFn(&Place<'_>) -> T) -> [T; 2] {
    [(StartWay::Fork, NEVER), (StartWay::Spare, ALWAYS)].map(|(way, config)| {
        let mut result = None;
        check(Setup::new().config(config), async |daemon| {
            let client = daemon.connect().await;
            let goodbye = daemon.path("goodbye").display().to_string();
            let env = [env, &[("TEST_GOODBYE", &goodbye)]].concat();
            let template = client.test_template(&env).await;
            client.warm(&template).await.unwrap();
            let place = Place {
                daemon,
                client,
                template,
                way,
            };
            place.ready().await;
            result = Some(run(&place).await);
            place.check_way().await;
        });
        result.unwrap()
    })
}

/// What a shell sees of the state it was started with.
const STATE: &str = "pwd; umask; ulimit -Sa; ulimit -Ha; env | sort; nice; \
    grep -E '^(Sig[BIC]|Shd|Cpus_allowed_list|NoNewPrivs|Threads|Uid|Gid)' /proc/self/status; \
    cat /proc/self/oom_score_adj /proc/self/cgroup; ls -l /proc/self/fd | sed 's/.*[0-9] \\([0-9]* ->\\)/\\1/; s/#[0-9]*//' | grep -vE 'pipe|/proc/'";

#[test]
fn what_a_command_starts_with() {
    let mut seen = Vec::new();
    for (config, way) in [(ALWAYS, StartWay::Spare), (NEVER, StartWay::Fork)] {
        check(Setup::new().config(config), async |daemon| {
            let client = daemon.connect().await;
            client.exit_of(shell("true")).await;
            if way == StartWay::Spare {
                spares(&client, "command", COUNT).await;
            }
            let (mut run, _) = client.run_until_line(shell("echo; read x")).await;
            assert_eq!(run.started.way(), way);
            client.signal(run.id(), 9, true).await.unwrap();
            run.exit().await;
            let (output, exit) = client.output_of(shell(STATE)).await;
            assert!(exit.success(), "{exit}: {output}");
            seen.push(output);
        });
    }
    assert!(seen[0].lines().count() > 30, "{}", seen[0]);
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn what_a_function_starts_with() {
    let hard = limits::get(4).unwrap().hard.min(4096);
    let asked = || StartState {
        cwd_path: Some(b"/etc".to_vec()),
        env: vec![spec::set("ADDED", "a=b")],
        umask: Some(0o027),
        rlimits: vec![
            Rlimit {
                resource: 4,
                soft: 0,
                hard,
            },
            Rlimit {
                resource: 7,
                soft: 100,
                hard: 200,
            },
        ],
        nice: Some(19),
        blocked_signals: vec![10, 12],
        ..StartState::default()
    };
    let [fork, spare] = both(&[("TEST_FAULT", "descriptor")], async |place| {
        let mut states = Vec::new();
        for state in [StartState::default(), asked()] {
            let mut spec = function(&place.template, "start-state", ());
            spec.state = Some(state);
            let (output, exit) = place.client.output_of(spec).await;
            assert!(exit.success() && exit.not_applied.is_empty(), "{exit}");
            let mut state: Value = serde_json::from_str(&output).unwrap();
            assert_eq!(state["group"], state["pid"], "a group of its own");
            // These differ from worker to worker.
            for own in ["pid", "group", "session"] {
                state.as_object_mut().unwrap().remove(own);
            }
            state["env"].as_object_mut().unwrap().remove("TEST_GOODBYE");
            let numbers = state["descriptors"].as_object_mut().unwrap();
            // Which number the socket to mpforkd has, and the listing of this, nobody promises.
            let promised = |what: &str| !what.starts_with("socket:") && !what.starts_with("/proc/");
            let count = numbers.len();
            numbers.retain(|_, what| promised(what.as_str().unwrap()));
            assert!(count - numbers.len() <= 2, "{count} {numbers:?}");
            // Its output goes to files without names.
            for number in ["1", "2"] {
                assert!(numbers.remove(number).is_some());
            }
            states.push(state);
        }
        states
    });
    assert_eq!(fork[1]["nice"], 19);
    assert_eq!(fork[1]["cwd"], "/etc");
    assert_eq!(fork, spare);
}

#[test]
fn how_it_ends() {
    let [fork, spare] = both(&[], async |place| {
        let (client, template) = (&place.client, &place.template);
        let mut limited = function(template, "hang", ());
        limited.time_limit = spec::duration(Duration::from_millis(50));
        let all = [
            function(template, "value", ()),
            function(template, "code", 5),
            function(template, "exit", 3),
            function(template, "raise", 15),
            function(template, "abort", ()),
            function(template, "panic", "no way"),
            function(template, "fail", ()),
            limited,
        ];
        let mut exits = Vec::new();
        for spec in all {
            place.ready().await;
            let exit = client.exit_of(spec).await;
            exits.push((exit.how, exit.failure, exit.leftovers, exit.not_applied));
        }
        exits
    });
    let is_failure = |index: usize| fork[index].1.is_some();
    assert_eq!([0, 5, 6].map(is_failure), [false, true, true]);
    assert!(matches!(fork[7].0, Some(exit::How::TimedOut(_))));
    for (fork, spare) in fork.iter().zip(&spare) {
        assert_eq!(fork, spare);
    }
}

#[test]
fn its_hooks_run_at_its_start_and_at_its_end() {
    let [fork, spare] = both(&[("TEST_FAULT", "after-fork")], async |place| {
        let exit = place
            .client
            .exit_of(function(&place.template, "value", ()))
            .await;
        place.ready().await;
        (exit.how, exit.failure)
    });
    assert!(fork.1.is_some(), "{fork:?}");
    assert_eq!(fork, spare);
    let [fork, spare] = both(&[], async |place| {
        for _ in 0..3 {
            place.ready().await;
            let exit = place
                .client
                .exit_of(function(&place.template, "value", ()))
                .await;
            assert!(exit.success());
        }
        // Those that never were workers say nothing, however they end.
        place.client.reload(&place.template).await.unwrap();
        eventually_async("the first zygote is gone", async || {
            let template = place.client.template(&place.template).await;
            (template.draining_zygotes == 0).then_some(())
        })
        .await;
        std::fs::read_to_string(place.daemon.path("goodbye")).unwrap()
    });
    assert_eq!(fork.lines().count(), 3);
    assert_eq!(fork, spare);
}

#[test]
fn what_it_chooses_at_random_is_its_own() {
    let chosen = both(&[], async |place| {
        let mut keys = HashSet::new();
        for _ in 0..COUNT {
            let spec = function(&place.template, "hash-keys", ());
            let (output, exit) = place.client.output_of(spec).await;
            assert!(exit.success() && !output.is_empty(), "{exit}");
            keys.insert(output);
        }
        keys.len()
    });
    assert_eq!(chosen, [COUNT, COUNT]);
}

#[test]
fn its_time_begins_with_its_start() {
    both(&[], async |place| {
        let time = |wire: Option<prost_types::Duration>| Duration::try_from(wire.unwrap()).unwrap();
        let (asked, asked_at) = (Instant::now(), SystemTime::now());
        let mut run = place
            .client
            .run(function(&place.template, "value", ()))
            .await;
        place.is_it(&run);
        let exit = run.exit().await;
        let took = asked.elapsed();
        assert!(time(exit.run_time) <= took, "{exit:?} {took:?}");
        let worker = place.client.get_worker(run.id()).await.unwrap();
        let started = SystemTime::try_from(worker.started.unwrap()).unwrap();
        assert!(started >= asked_at, "{started:?} {asked_at:?}");
        let rusage = exit.rusage.unwrap();
        assert!(rusage.max_rss_bytes > 0 && rusage.minor_faults > 0);
        // What it did while it waited is little.
        assert!(time(rusage.user) + time(rusage.system) < Duration::from_secs(1));
    });
}
