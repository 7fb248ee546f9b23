//! `WatchEvents`: what happens, in order, with nothing lost that is not told to be.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::events_client::EventsClient;
use mpfork_proto::v1::watch_events_response::What;
use mpfork_proto::v1::{
    DrainRequest, Event, EventKind, Gap, WatchEventsRequest, WatchEventsResponse,
};
use mpfork_tests::harness::programs::rebuild;
use mpfork_tests::harness::spec::{command, function, shell};
use mpfork_tests::harness::{
    Daemon, Setup, TestClient, check, eventually_async, process, refused, refused_field,
};
use tonic::{Status, Streaming};

struct Watch(Streaming<WatchEventsResponse>);

impl Watch {
    async fn next(&mut self) -> Option<What> {
        let message = self.0.message().await.unwrap()?;
        Some(message.what.unwrap())
    }

    async fn event(&mut self) -> Event {
        match self.next().await {
            Some(What::Event(event)) => event,
            other => panic!("no event: {other:?}"),
        }
    }

    /// All there are, of a watch that ends.
    async fn all(mut self) -> (Vec<Gap>, Vec<Event>) {
        let (mut gaps, mut events) = (Vec::new(), Vec::new());
        while let Some(what) = self.next().await {
            match what {
                What::Event(event) => events.push(event),
                What::Gap(gap) => gaps.push(gap),
            }
        }
        (gaps, events)
    }
}

async fn try_watch(client: &TestClient, request: WatchEventsRequest) -> Result<Watch, Status> {
    let mut rpc = EventsClient::new(client.channel.clone());
    Ok(Watch(rpc.watch_events(request).await?.into_inner()))
}

async fn watch(client: &TestClient, request: WatchEventsRequest) -> Watch {
    try_watch(client, request).await.unwrap()
}

fn from_now() -> WatchEventsRequest {
    WatchEventsRequest::default()
}

fn remembered() -> WatchEventsRequest {
    WatchEventsRequest {
        after_sequence: Some(0),
        remembered_only: true,
        ..from_now()
    }
}

fn after(event: &Event) -> WatchEventsRequest {
    WatchEventsRequest {
        after_sequence: Some(event.sequence),
        instance: event.instance,
        ..from_now()
    }
}

fn kinds(events: &[Event]) -> Vec<EventKind> {
    events.iter().map(Event::kind).collect()
}

#[test]
fn a_worker_from_the_first_to_the_last() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut watch = watch(&client, from_now()).await;
        let mut spec = shell("exit 3");
        spec.name = "three".to_owned();
        let mut run = client.run(spec).await;
        run.exit().await;
        let events = [
            watch.event().await,
            watch.event().await,
            watch.event().await,
            watch.event().await,
        ];
        assert_eq!(
            kinds(&events),
            [
                EventKind::TemplateWarming,
                EventKind::TemplateWarm,
                EventKind::WorkerStarted,
                EventKind::WorkerExited,
            ]
        );
        for (event, next) in events.iter().zip(&events[1..]) {
            assert_eq!(event.sequence + 1, next.sequence);
            assert_eq!(event.instance, client.handshake.instance);
            assert!(event.time.unwrap().seconds <= next.time.unwrap().seconds);
            assert_eq!(
                (&*event.template, &*event.template_name),
                ("command", "command")
            );
        }
        let [_, warm, started, exited] = events;
        assert_eq!(warm.zygote_pid, client.template("command").await.zygote_pid);
        for event in [&started, &exited] {
            assert_eq!(event.worker, Some(run.id()));
            assert_eq!(event.pid, run.pid());
            assert_eq!(event.name, "three");
            assert!(event.task.contains("exit 3"), "{event:?}");
        }
        assert!(started.exit.is_none());
        assert_eq!(exited.exit.unwrap().exitcode(), 3);
    });
}

#[test]
fn starts_that_fail_say_why() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        client.exit_of(shell("exit 0")).await;
        let mut watch = watch(&client, from_now()).await;
        let refusal = client.try_run(command(&["/nowhere/at/all"])).await;
        refused(refusal, Reason::ExecFailed);
        let event = watch.event().await;
        assert_eq!(event.kind(), EventKind::WorkerStartFailed);
        assert_eq!(event.reason(), Reason::ExecFailed);
        assert!(event.message.contains("/nowhere/at/all"), "{event:?}");
        assert_eq!(event.worker, None);
        let refusal = client.try_run(function("nobody", "value", ())).await;
        refused(refusal, Reason::UnknownTemplate);
        let event = watch.event().await;
        assert_eq!(event.reason(), Reason::UnknownTemplate);
        assert_eq!(event.template, "nobody");
    });
}

#[test]
fn starts_that_are_refused_again_and_again_are_told_once_a_second() {
    let setup = Setup::new().config("[limits]\nretained_events = 50");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        client.exit_of(shell("exit 0")).await;
        let failed = WatchEventsRequest {
            kinds: vec![EventKind::WorkerStartFailed.into()],
            ..from_now()
        };
        let mut watch = watch(&client, failed).await;
        let drain = DrainRequest::default();
        drop(client.admin().drain(drain).await.unwrap());
        let begun = std::time::Instant::now();
        for number in 0..400 {
            let mut spec = shell("exit 0");
            spec.name = number.to_string();
            refused(client.try_run(spec).await, Reason::Draining);
        }
        let (mut told, mut events) = (0, 0);
        while told < 400 {
            let event = watch.event().await;
            assert_eq!(event.reason(), Reason::Draining);
            assert_eq!((&*event.template, event.worker), ("command", None));
            assert!(events > 0 || (event.count, &*event.name) == (1, "0"));
            told += event.count;
            events += 1;
        }
        assert_eq!(told, 400);
        let seconds = begun.elapsed().as_secs();
        assert!(events <= seconds + 3, "{events} in {seconds} s");
        // What happened before is remembered.
        let (gaps, _) = self::watch(&client, remembered()).await.all().await;
        assert!(gaps.is_empty() || seconds > 30, "{gaps:?}");
        assert_eq!(client.status().await.workers.unwrap().failed, 400);
    });
}

#[test]
fn a_template_from_the_first_to_the_last() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut watch = watch(&client, from_now()).await;
        let program = daemon.path("program");
        mpfork_tests::harness::programs::copy(&program);
        let digest = client.register(&program, &[]).await;
        client.warm(&digest).await.unwrap();
        client.reload(&digest).await.unwrap();
        let mut expect = async |kind, why: &str| {
            let event = watch.event().await;
            assert_eq!(
                (event.kind(), &event.template),
                (kind, &digest),
                "{event:?}"
            );
            assert_eq!(event.template_name, "program");
            assert!(event.message.contains(why), "{event:?}");
            event
        };
        expect(EventKind::TemplateRegistered, "").await;
        expect(EventKind::TemplateWarming, "").await;
        let first = expect(EventKind::TemplateWarm, "").await.zygote_pid;
        expect(EventKind::TemplateWarming, "").await;
        let second = expect(EventKind::TemplateWarm, "").await.zygote_pid;
        let drains = expect(EventKind::TemplateDraining, "taken over").await;
        assert!(drains.zygote_pid == first && first != second);
        // Killed, it is launched anew by itself.
        process::kill(second);
        let failed = expect(EventKind::TemplateFailed, "died").await;
        assert_eq!(
            (failed.zygote_pid, failed.reason()),
            (second, Reason::ZygoteFailed)
        );
        expect(EventKind::TemplateWarming, "").await;
        let third = expect(EventKind::TemplateWarm, "").await.zygote_pid;
        // Only now is it to be let go when it is idle.
        let config = daemon.path("mpforkd.toml");
        std::fs::write(config, "[timeouts]\nidle = \"10ms\"").unwrap();
        daemon.signal(rustix::process::Signal::HUP);
        let retired = expect(EventKind::TemplateRetired, "").await;
        assert_eq!(retired.zygote_pid, third);
        client.remove(&digest).await.unwrap();
        expect(EventKind::TemplateRemoved, "").await;
    });
}

#[test]
fn preloads_that_fail_and_programs_that_are_rebuilt() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut watch = watch(&client, from_now()).await;
        let digest = client.test_template(&[("TEST_FAULT", "panic")]).await;
        refused(client.warm(&digest).await, Reason::PreloadFailed);
        assert_eq!(watch.event().await.kind(), EventKind::TemplateRegistered);
        assert_eq!(watch.event().await.kind(), EventKind::TemplateWarming);
        let failed = watch.event().await;
        assert_eq!(failed.kind(), EventKind::TemplateFailed);
        assert_eq!(failed.reason(), Reason::PreloadFailed);
        assert!(failed.message.contains("faulty"), "{failed:?}");
        let program = daemon.path("program");
        mpfork_tests::harness::programs::copy(&program);
        let old = client.register(&program, &[]).await;
        rebuild(&program);
        let new = client.register(&program, &[]).await;
        let registered = watch.event().await;
        assert_eq!(registered.template, old);
        let registered = watch.event().await;
        assert_eq!(registered.template, new);
        let drains = watch.event().await;
        assert_eq!(
            (drains.kind(), drains.template),
            (EventKind::TemplateDraining, old)
        );
        assert!(drains.message.contains("rebuilt"));
    });
}

#[test]
fn what_was_missed_is_told_when_the_watch_is_resumed() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut first = watch(&client, from_now()).await;
        client.exit_of(shell("exit 1")).await;
        let seen = first.event().await;
        drop(first);
        client.exit_of(shell("exit 2")).await;
        let mut again = watch(&client, after(&seen)).await;
        for number in 1..=5 {
            assert_eq!(again.event().await.sequence, seen.sequence + number);
        }
        // It goes on with what happens then.
        client.exit_of(shell("exit 3")).await;
        assert_eq!(again.event().await.kind(), EventKind::WorkerStarted);
        // From the very first, which the configuration made.
        let (gaps, events) = watch(&client, remembered()).await.all().await;
        assert!(gaps.is_empty());
        assert!(events.iter().map(|event| event.sequence).eq(1..=9));
        assert_eq!(events[0].kind(), EventKind::TemplateRegistered);
    });
}

#[test]
fn only_what_is_asked_for() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.exit_of(shell("exit 1")).await;
        client.exit_of(function(&digest, "value", ())).await;
        let ask = async |kinds: &[EventKind], template: &str| {
            let request = WatchEventsRequest {
                kinds: kinds.iter().map(|kind| i32::from(*kind)).collect(),
                template: template.to_owned(),
                ..remembered()
            };
            watch(&client, request).await.all().await.1
        };
        let exited = [EventKind::WorkerExited];
        assert_eq!(ask(&exited, "").await.len(), 2);
        assert_eq!(ask(&exited, "command").await.len(), 1);
        assert_eq!(ask(&[], &digest[..6]).await.len(), 5);
        assert_eq!(ask(&[], "test-program").await.len(), 5);
        assert_eq!(ask(&[], &digest[..5]).await.len(), 0);
        let both = [EventKind::WorkerStarted, EventKind::WorkerExited];
        assert_eq!(kinds(&ask(&both, &digest).await), both);
    });
}

#[test]
fn events_that_are_forgotten_are_a_gap() {
    let setup = Setup::new().config("[limits]\nretained_events = 4");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        for _ in 0..3 {
            client.exit_of(shell("exit 0")).await;
        }
        // One was the template's registration, two its warming, two more for each worker.
        let (gaps, events) = watch(&client, remembered()).await.all().await;
        let gap = Gap {
            instance: client.handshake.instance,
            first_missed: 1,
            last_missed: Some(5),
        };
        assert_eq!(gaps, [gap]);
        assert!(events.iter().map(|event| event.sequence).eq(6..=9));
        let mut resumed = watch(&client, after(&events[0])).await;
        assert_eq!(resumed.event().await.sequence, 7);
        drop(resumed);
        client.exit_of(shell("exit 0")).await;
        let mut resumed = watch(&client, after(&events[0])).await;
        let Some(What::Gap(gap)) = resumed.next().await else {
            panic!("no gap");
        };
        assert_eq!((gap.first_missed, gap.last_missed), (7, Some(7)));
        assert_eq!(resumed.event().await.sequence, 8);
    });
}

#[test]
fn a_slow_watcher_is_overtaken_and_nobody_waits_for_it() {
    let setup = Setup::new().config("[limits]\nretained_events = 50");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        // Its connection takes what fits the window of its stream, as it reads nothing.
        let slow = daemon.connect().await;
        let mut watcher = watch(&slow, from_now()).await;
        // More than the connection itself holds. No worker is needed for it.
        let told = 14_000;
        let program = daemon.path(&"n".repeat(250));
        mpfork_tests::harness::programs::copy(&program);
        for _ in 0..told / 2 {
            let digest = client.register(&program, &[]).await;
            client.remove(&digest).await.unwrap();
        }
        // The first is the registration of the built-in template.
        let mut expected = 2;
        let mut gaps = 0;
        let last = loop {
            match watcher.next().await.unwrap() {
                What::Event(event) => {
                    assert_eq!(event.sequence, expected, "{event:?}");
                    expected = event.sequence + 1;
                    if event.sequence == 1 + told {
                        break event;
                    }
                }
                What::Gap(gap) => {
                    assert_eq!(gap.first_missed, expected);
                    expected = gap.last_missed.unwrap() + 1;
                    gaps += 1;
                }
            }
        };
        assert!(gaps > 0, "{last:?}");
    });
}

#[test]
fn another_run_of_the_daemon_is_a_gap() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let other = client.handshake.instance.wrapping_add(1);
        let request = WatchEventsRequest {
            after_sequence: Some(17),
            instance: other,
            remembered_only: true,
            ..from_now()
        };
        let (gaps, events) = watch(&client, request).await.all().await;
        let gap = Gap {
            instance: other,
            first_missed: 18,
            last_missed: None,
        };
        assert_eq!(gaps, [gap]);
        assert_eq!(events.len(), 1);
    });
}

#[test]
fn watches_end_with_the_daemon() {
    check(Setup::new(), async |daemon: &Daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(command(&["sleep", "600"])).await;
        let mut watch = watch(&client, from_now()).await;
        daemon.signal(rustix::process::Signal::TERM);
        assert_eq!(run.exit().await.exitcode(), -15);
        // To the very last: the zygote drains after the worker.
        assert_eq!(watch.event().await.kind(), EventKind::WorkerExited);
        assert_eq!(watch.event().await.kind(), EventKind::TemplateDraining);
        assert_eq!(watch.next().await, None);
        drop((run, watch, client));
        assert_eq!(daemon.gone().await.how, "code 0");
    });
}

#[test]
fn watchers_that_leave_leave_nothing() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for _ in 0..50 {
            drop(watch(&client, from_now()).await);
        }
        let other = daemon.connect().await;
        let _watch = watch(&other, from_now()).await;
        drop(other);
        client.exit_of(shell("exit 0")).await;
        eventually_async("one connection is left", async || {
            // The watch holds its connection.
            (client.status().await.connections == 2).then_some(())
        })
        .await;
    });
}

#[test]
fn wrong_requests() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let instance = client.handshake.instance;
        let wrong = async |change: &dyn Fn(&mut WatchEventsRequest), field| {
            let mut request = from_now();
            change(&mut request);
            let refusal = try_watch(&client, request).await.map(|_| ());
            refused_field(refusal, field)
        };
        wrong(&|r| r.after_sequence = Some(1), "instance").await;
        let ahead = move |r: &mut WatchEventsRequest| {
            (r.after_sequence, r.instance) = (Some(99), instance);
        };
        let problem = wrong(&ahead, "after_sequence").await;
        assert!(problem.message.contains("the last one is 1"), "{problem}");
        wrong(&|r| r.kinds = vec![0], "kinds").await;
        wrong(&|r| r.kinds = vec![1, 99], "kinds").await;
    });
}
