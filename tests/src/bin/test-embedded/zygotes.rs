//! Zygotes that are replaced, stopped, or slow.

use super::common::{LONG, context, eventually, file, hold, limit_descriptors, make, runtime};
use futures_util::future::{Either, join_all};
use mpfork::{Error, OnPreloadError, Reason};
use mpfork_tests::harness::process as seen;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn own() -> i32 {
    std::process::id().cast_signed()
}

/// Each choice of preloads is another zygote. Those that nobody needs any more are gone.
pub(crate) fn other_preloads() {
    let ctx = context();
    let mut before = 0;
    for round in 0..4 {
        let names: &[&str] = if round % 2 == 0 { &[] } else { &["slow"] };
        mpfork::set_forkserver_preload(names.iter().copied(), OnPreloadError::Fail).unwrap();
        let pid = ctx.server().unwrap().pid;
        assert_ne!(pid, before);
        before = pid;
        let mut process = ctx.process(hold, ".".to_owned()).start().unwrap();
        assert!(process.join(Some(LONG)).unwrap().unwrap().success());
        eventually("the others have ended", || {
            seen::children(own())
                .iter()
                .all(|child| child.pid == pid || child.state == 'Z')
        });
    }
    // Whoever asks for the next one tidies up.
    let pid = ctx.server().unwrap().pid;
    let left = seen::children(own());
    assert!(left.iter().all(|child| child.pid == pid), "{left:?}");
}

/// In a worker, which has its own starts made by its own zygote: another choice ends none of them.
pub(crate) fn other_preloads_within() {
    assert_eq!(
        context().spawn(choose_another, ()).unwrap().join().unwrap(),
        0
    );
}

fn choose_another() -> i32 {
    let ctx = context();
    let mut process = ctx.process(hold, "go-on".to_owned()).start().unwrap();
    let first = ctx.server().unwrap();
    mpfork::set_forkserver_preload(["slow"], OnPreloadError::Fail).unwrap();
    let mut another = ctx.process(hold, ".".to_owned()).start().unwrap();
    assert!(another.join(Some(LONG)).unwrap().unwrap().success());
    assert_ne!(ctx.server().unwrap(), first);
    make("go-on");
    process.join(Some(LONG)).unwrap().unwrap().exitcode()
}

/// A zygote that was replaced by another choice goes on to serve its workers.
pub(crate) fn former_choice_within() {
    let ctx = context();
    let worker = ctx.spawn(start_one, "go-on".to_owned()).unwrap();
    mpfork::set_forkserver_preload(["slow"], OnPreloadError::Fail).unwrap();
    let mut another = ctx.process(hold, ".".to_owned()).start().unwrap();
    assert!(another.join(Some(LONG)).unwrap().unwrap().success());
    make("go-on");
    assert_eq!(worker.join().unwrap(), 0);
}

fn start_one(name: String) -> i32 {
    hold(name);
    let mut process = context().process(hold, ".".to_owned()).start().unwrap();
    process.join(Some(LONG)).unwrap().unwrap().exitcode()
}

/// For workers: adds a line to a file.
fn count(name: String) {
    let mut file = std::fs::File::options()
        .append(true)
        .open(file(&name))
        .unwrap();
    file.write_all(b"x").unwrap();
}

/// Zygotes are killed while others have workers made: each start that succeeds has made one worker, and
/// one that fails has made none or says that it ran.
pub(crate) fn killed_while_forking() {
    limit_descriptors(1 << 16);
    let ctx = context();
    make("counted");
    let (mut ended, mut lost) = (0, 0);
    let begun = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let starting = || {
            let (mut ended, mut lost) = (0, 0);
            for _ in 0..50 {
                match ctx.process(count, "counted".to_owned()).start() {
                    Ok(mut process) => {
                        let exit = process.join(Some(LONG)).unwrap().unwrap();
                        assert!(exit.success() || exit.lost().is_some(), "{exit}");
                        ended += 1;
                    }
                    Err(Error::Server(problem)) if problem.reason == Reason::WorkerLost => {
                        lost += 1
                    }
                    Err(Error::Server(problem)) if problem.reason == Reason::ZygoteFailed => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (ended, lost)
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(starting)).collect();
        let killing = scope.spawn(|| {
            let mut killed = 0;
            while begun.load(Ordering::Relaxed) {
                // It may be dead already, and its number is this process's to wait for.
                for child in seen::children(own()) {
                    killed += usize::from(child.state != 'Z');
                    if child.state != 'Z' {
                        seen::kill(child.pid);
                    }
                }
                std::thread::sleep(Duration::from_millis(15));
            }
            killed
        });
        for thread in threads {
            let told = thread.join().unwrap();
            ended += told.0;
            lost += told.1;
        }
        begun.store(false, Ordering::Relaxed);
        assert!(killing.join().unwrap() > 3);
    });
    let counted = std::fs::read(file("counted")).unwrap().len();
    assert!(
        (ended..=ended + lost).contains(&counted),
        "{counted} of {ended} and {lost}"
    );
    println!("{counted} of {ended} and {lost}");
}

/// A start that is given up at any moment leaves no worker behind.
pub(crate) fn given_up_at_any_time() {
    let runtime = runtime(2);
    let ctx = context();
    ctx.server().unwrap();
    let mut given_up = 0;
    for round in 0..300 {
        let start = ctx.process(hold, "never".to_owned()).start_async();
        let time = Duration::from_micros(round * 5);
        // A timer knows whole milliseconds, in which a start may be through.
        let begun = Instant::now();
        let impatience = async {
            while begun.elapsed() < time {
                tokio::task::yield_now().await;
            }
        };
        let either = futures_util::future::select(Box::pin(start), Box::pin(impatience));
        match runtime.block_on(either) {
            Either::Left((started, _)) => {
                started.unwrap().kill().unwrap();
            }
            Either::Right(_) => given_up += 1,
        }
    }
    assert!(given_up > 10);
    let zygote = ctx.server().unwrap().pid;
    eventually("workers of nobody", || {
        // Whoever comes next reads what was told of those.
        let mut process = ctx.process(hold, ".".to_owned()).start().unwrap();
        process.join(Some(LONG)).unwrap();
        seen::children(zygote).is_empty()
    });
}

/// Starts that are given up while the link is full do no harm to anybody else.
pub(crate) fn given_up_while_stopped() {
    limit_descriptors(1 << 16);
    let runtime = runtime(2);
    let ctx = context();
    let zygote = ctx.server().unwrap().pid;
    let mut kept = ctx.process(hold, "go-on".to_owned()).start().unwrap();
    seen::stop(zygote);
    runtime.block_on(async {
        let start = |_| ctx.process(hold, "go-on".to_owned()).start_async();
        let all = join_all((0..600).map(start));
        let given_up = tokio::time::timeout(Duration::from_secs(3), all).await;
        assert!(given_up.is_err(), "it is not stopped");
    });
    seen::resume(zygote);
    let mut another = ctx.process(hold, "go-on".to_owned()).start().unwrap();
    assert!(kept.is_alive());
    assert_eq!(ctx.server().unwrap().pid, zygote);
    make("go-on");
    for process in [&mut kept, &mut another] {
        let exit = process.join(Some(LONG)).unwrap().unwrap();
        assert_eq!(exit.exitcode(), 0, "{exit}");
    }
    let left = mpfork::active_children().len();
    assert_eq!(left, 0);
}

/// How a process ended is known once its zygote tells, and nothing is said before.
pub(crate) fn told_late() {
    let ctx = context();
    let process = ctx.process(hold, "never".to_owned()).start().unwrap();
    let zygote = ctx.server().unwrap().pid;
    seen::stop(zygote);
    process.kill().unwrap();
    eventually("it has ended", || !process.is_alive());
    assert_eq!(process.exit(), None);
    seen::resume(zygote);
    assert_eq!(process.exitcode(), Some(-9));
}

mpfork::before_fork!(slowly);

fn slowly() -> std::io::Result<()> {
    if let Some(time) = std::env::var_os("EMBEDDED_HOOK_MS") {
        let time = time.to_str().and_then(|time| time.parse().ok()).unwrap();
        std::thread::sleep(Duration::from_millis(time));
    }
    Ok(())
}

/// Many starts at once wait for each other longer than one may take.
pub(crate) fn slow_but_alive() {
    let runtime = runtime(2);
    let ctx = context();
    make("go-on");
    let ended = runtime.block_on(async {
        let run = |_| async {
            let mut process = ctx.process(hold, "go-on".to_owned()).start_async().await?;
            process.join_async().await
        };
        join_all((0..60).map(run)).await
    });
    for exit in ended {
        assert!(exit.unwrap().success());
    }
}
