//! Descriptors that are scarce, and those that are nobody's business.

use super::common::{LONG, all_numbers, context, hold, limit_descriptors, make};
use mpfork::{Error, Reason};

/// A start without a free number fails, whichever of its descriptors it is that has none; nothing else is
/// disturbed.
pub(crate) fn none_are_left() {
    limit_descriptors(128);
    let ctx = context();
    let mut earlier = ctx.process(hold, "go-on".to_owned()).start().unwrap();
    let server = ctx.server().unwrap();
    let (mut refused, mut started) = (0, Vec::new());
    for free in 0..24 {
        let mut taken = all_numbers();
        taken.truncate(taken.len().saturating_sub(free));
        let start = ctx.process(hold, "go-on".to_owned()).start();
        drop(taken);
        match start {
            Ok(process) => started.push(process),
            Err(Error::System { error, .. }) => {
                assert_eq!(error.raw_os_error(), Some(24), "{free}: {error}");
                refused += 1;
            }
            Err(Error::Server(problem)) => {
                assert_eq!(problem.reason, Reason::LimitReached, "{free}: {problem}");
                refused += 1;
            }
            Err(error) => panic!("{free}: {error}"),
        }
        assert!(earlier.is_alive(), "{free}");
        assert_eq!(ctx.server().unwrap(), server, "{free}");
    }
    assert!(
        refused > 3 && started.len() > 3,
        "{refused} {}",
        started.len()
    );
    make("go-on");
    for process in started.iter_mut().chain([&mut earlier]) {
        let exit = process.join(Some(LONG)).unwrap().unwrap();
        assert_eq!(exit.exitcode(), 0, "{exit}");
    }
}

/// For workers: starts another one, which waits.
fn start_one(name: String) -> bool {
    let started = context().process(hold, name).start();
    started.is_ok()
}

/// The zygote runs out of numbers for links; whoever launched it goes on.
pub(crate) fn few_in_the_zygote() {
    limit_descriptors(40);
    let ctx = context();
    let server = ctx.server().unwrap();
    limit_descriptors(1 << 16);
    let workers: Vec<_> = (0..40)
        .map(|_| ctx.spawn(start_one, "go-on".to_owned()).unwrap())
        .collect();
    let mut last = ctx.process(hold, "go-on".to_owned()).start().unwrap();
    assert_eq!(ctx.server().unwrap(), server);
    make("go-on");
    for worker in workers {
        assert!(worker.join().unwrap());
    }
    assert!(last.join(Some(LONG)).unwrap().unwrap().success());
}

/// What this program inherited is not for its zygote, which would hold it as long as a worker is kept.
pub(crate) fn inherited(number: i32) {
    let here = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    for method in ["forkserver", "spawn"] {
        let ctx = mpfork::get_context(method.parse::<mpfork::StartMethod>().unwrap()).unwrap();
        let mut process = ctx.process(hold, ".".to_owned()).start().unwrap();
        process.join(Some(LONG)).unwrap();
        let zygote = ctx.server().unwrap().pid;
        for open in std::fs::read_dir(format!("/proc/{zygote}/fd")).unwrap() {
            let open = open.unwrap().path();
            assert_ne!(
                std::fs::read_link(&open).ok(),
                Some(here.clone()),
                "{open:?}"
            );
        }
    }
}
