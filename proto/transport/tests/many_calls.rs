//! 4 descriptors each way in each of 2,000 concurrent calls, with client and server together in one
//! process limited to 1,024 open files. Alone in its binary, since limits are the whole process's.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Client, Serving, check};
use mpfork_transport::{DEFAULT_CREDIT, uncancelled};
use rustix::process::{Resource, Rlimit, setrlimit};

const CALLS: u32 = 2000;
const LIMIT: u64 = 1024;

#[test]
fn none_is_lost_and_none_refused() {
    common::without_privileges();
    let limit = Rlimit {
        current: Some(LIMIT),
        maximum: Some(LIMIT),
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    for threads in [1, 2] {
        check(threads, || async {
            let serving = Serving::start(DEFAULT_CREDIT);
            let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
            let calls: Vec<_> = (0..CALLS)
                .map(|call| {
                    let client = client.clone();
                    let first = call * 4;
                    let tokens: Vec<u32> = (first..first + 4).collect();
                    uncancelled(async move { client.echo(&tokens, 4).await })
                })
                .collect();
            for call in calls {
                call.await.unwrap().unwrap();
            }
            assert_eq!(client.connection.failure(), None);
            assert_eq!(serving.latest().failure(), None);
        });
    }
}
