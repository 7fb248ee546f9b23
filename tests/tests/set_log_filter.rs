//! `SetLogFilter`: what is logged, changed while the daemon runs.
#![allow(clippy::unwrap_used)]

use mpfork_proto::v1::logs_client::LogsClient;
use mpfork_proto::v1::read_logs_request::{Records, Source};
use mpfork_proto::v1::{LogFilter, ReadLogsRequest, SetLogFilterRequest};
use mpfork_tests::harness::spec::{duration, millis, shell};
use mpfork_tests::harness::{Daemon, Setup, TestClient, check, eventually_async, refused_field};
use std::time::Duration;

/// What the harness starts daemons with.
const ORIGINAL: &str = "mpforkd=debug";

async fn set(
    client: &TestClient,
    filter: &str,
    duration: Option<prost_types::Duration>,
) -> LogFilter {
    let request = SetLogFilterRequest {
        filter: filter.to_owned(),
        duration,
    };
    let answer = client.admin().set_log_filter(request).await.unwrap();
    answer.into_inner().log_filter.unwrap()
}

async fn holds(client: &TestClient) -> LogFilter {
    client.status().await.log_filter.unwrap()
}

fn lasting(filter: &str) -> LogFilter {
    LogFilter {
        filter: filter.to_owned(),
        ..LogFilter::default()
    }
}

/// Whether the end of a worker, which is told at the level of debugging, is logged now.
async fn is_logged(daemon: &Daemon, client: &TestClient) -> bool {
    let count = || daemon.log().matches("worker ended").count();
    let before = count();
    client.exit_of(shell("exit 0")).await;
    count() > before
}

#[test]
fn it_holds_at_once_and_until_it_is_changed() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        assert_eq!(holds(&client).await, lasting(ORIGINAL));
        assert!(is_logged(daemon, &client).await);
        assert_eq!(
            set(&client, "mpforkd=info", None).await,
            lasting("mpforkd=info")
        );
        assert_eq!(holds(&client).await, lasting("mpforkd=info"));
        assert!(!is_logged(daemon, &client).await);
        set(&client, "warn,mpforkd::worker=debug", None).await;
        assert!(is_logged(daemon, &client).await);
        set(&client, "off", None).await;
        assert!(!is_logged(daemon, &client).await);
        // As it was started.
        assert_eq!(set(&client, "", None).await, lasting(ORIGINAL));
        assert!(is_logged(daemon, &client).await);
    });
}

#[test]
fn for_a_while() {
    check(
        Setup::new().arg("--log-format").arg("json"),
        async |daemon| {
            let client = daemon.connect().await;
            set(&client, "mpforkd=info", None).await;
            let now = set(&client, "mpforkd=debug", duration(Duration::from_secs(600))).await;
            assert_eq!(
                (&*now.filter, &*now.afterwards),
                ("mpforkd=debug", "mpforkd=info")
            );
            assert!(now.left.unwrap().seconds >= 590);
            assert!(is_logged(daemon, &client).await);
            // Another takes its place; the lasting one is still what holds afterwards.
            set(&client, "mpforkd=trace", millis(50)).await;
            eventually_async("it is as before", async || {
                (holds(&client).await == lasting("mpforkd=info")).then_some(())
            })
            .await;
            assert!(!is_logged(daemon, &client).await);
            // One that is to last is not changed by the end of one that was not.
            set(&client, "mpforkd=debug", millis(50)).await;
            set(&client, "mpforkd=warn", None).await;
            set(&client, "off", millis(100)).await;
            eventually_async("both are over", async || {
                (holds(&client).await == lasting("mpforkd=warn")).then_some(())
            })
            .await;
        },
    );
}

/// What is sent to one who follows is not logged, or it would be sent as well, and so on.
#[test]
fn who_follows_the_records_makes_none_by_that() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let request = ReadLogsRequest {
            source: Some(Source::Records(Records {})),
            follow: true,
        };
        let logs = LogsClient::new(client.channel.clone());
        let mut followed = logs.clone().read_logs(request).await.unwrap().into_inner();
        for filter in ["debug", "trace"] {
            assert_eq!(set(&client, filter, None).await, lasting(filter));
            assert!(is_logged(daemon, &client).await);
            eventually_async(
                &format!("the records are quiet under {filter}"),
                async || {
                    let next = tokio::time::timeout(Duration::from_millis(300), followed.message());
                    next.await.is_err().then_some(())
                },
            )
            .await;
        }
        // Unless it is asked for.
        set(&client, "debug,h2=debug", None).await;
        eventually_async("frames are told", async || {
            client.status().await;
            daemon.log().contains(" h2::").then_some(())
        })
        .await;
        set(&client, "", None).await;
    });
}

#[test]
fn wrong_requests() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let wrong = async |filter: &str, duration, field| {
            let request = SetLogFilterRequest {
                filter: filter.to_owned(),
                duration,
            };
            refused_field(client.admin().set_log_filter(request).await, field)
        };
        let problem = wrong("mpforkd=loud", None, "filter").await;
        assert!(!problem.get("detail").is_empty());
        wrong(&"x".repeat(5000), None, "filter").await;
        let negative = Some(prost_types::Duration {
            seconds: -1,
            nanos: 0,
        });
        wrong("debug", negative, "duration").await;
        assert_eq!(holds(&client).await, lasting(ORIGINAL));
    });
}
