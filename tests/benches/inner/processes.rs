//! What makes a process, and what it does first.

use criterion::Criterion;
use mpfork::{ServerChoice, StartMethod, get_context};
use mpfork_sys::exit::exit_now;
use mpfork_sys::fork::{Forked, fork};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

/// What this takes in a process forked for it, which changes that process alone.
fn in_a_child(work: impl FnOnce()) -> Duration {
    let (mut told, mut tell) = std::io::pipe().unwrap();
    match fork().unwrap() {
        Forked::Child => {
            let began = Instant::now();
            work();
            let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let told = tell.write_all(&nanos.to_ne_bytes());
            exit_now(i32::from(told.is_err()))
        }
        Forked::Parent(pid) => {
            drop(tell);
            let mut nanos = [0; 8];
            told.read_exact(&mut nanos).unwrap();
            wait(pid);
            Duration::from_nanos(u64::from_ne_bytes(nanos))
        }
    }
}

fn wait(pid: i32) {
    let status = waitpid(Pid::from_raw(pid), None).unwrap();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
}

/// A worker's environment, put in place of the zygote's.
pub(crate) fn environment(criterion: &mut Criterion) {
    let mut block = Vec::new();
    for number in 0..40 {
        let name = format!("VARIABLE_{number}");
        mpfork_proto::environment::push(&mut block, name.as_bytes(), b"/some/path:/another/path");
    }
    criterion.bench_function("environment: check and replace", |bencher| {
        bencher.iter_custom(|count| {
            in_a_child(|| {
                for _ in 0..count {
                    mpfork_proto::environment::check(&block).unwrap();
                    mpfork_sys::env::replace(block.clone()).unwrap();
                }
            })
        });
    });
}

pub(crate) fn forks(criterion: &mut Criterion) {
    criterion.bench_function("fork, exit and wait", |bencher| {
        bencher.iter(|| match fork().unwrap() {
            Forked::Child => exit_now(0),
            Forked::Parent(pid) => wait(pid),
        });
    });
}

fn nothing() {}

/// A start over the link of a zygote of this program's own, until the worker has ended.
pub(crate) fn link(criterion: &mut Criterion) {
    let context = get_context(StartMethod::ForkServer).unwrap();
    let context = context.with_server(ServerChoice::Embedded);
    criterion.bench_function("link: start a worker and wait for it", |bencher| {
        bencher.iter(|| {
            let mut worker = context.process(nothing, ()).start().unwrap();
            worker.join(None).unwrap();
            assert_eq!(worker.exitcode(), Some(0));
        });
    });
}
