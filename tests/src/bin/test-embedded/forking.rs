//! Start method `fork`.

use super::common::{LONG, eventually, hold, make};
use mpfork::StartMethod;
use mpfork_tests::harness::process as seen;

fn own() -> i32 {
    std::process::id().cast_signed()
}

/// A start that is given up between the fork and what the worker says leaves nothing.
pub(crate) fn given_up() {
    let ctx = mpfork::get_context(StartMethod::Fork).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for _ in 0..5 {
        let _entered = runtime.enter();
        let builder = ctx.process(hold, "never".to_owned());
        let mut started = Box::pin(builder.start_async());
        let mut polled = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(started.as_mut().poll(&mut polled).is_pending());
        drop(started);
    }
    make("never");
    eventually("they have ended", || {
        seen::children(own()).iter().all(|child| child.state == 'Z')
    });
    make("go-on");
    let mut process = ctx.process(hold, "go-on".to_owned()).start().unwrap();
    process.join(Some(LONG)).unwrap().unwrap();
    let left = seen::children(own());
    assert!(left.is_empty(), "{left:?}");
}

/// A program that has the system forget its children.
pub(crate) fn children_are_ignored() {
    mpfork_sys::signals::set_by_number(rustix::process::Signal::CHILD.as_raw(), true).unwrap();
    for method in mpfork::get_all_start_methods() {
        let ctx = mpfork::get_context(*method).unwrap();
        let mut process = ctx.process(exit_with, 7).start().unwrap();
        let exit = process.join(Some(LONG)).unwrap().unwrap();
        assert_eq!(exit.exitcode(), 7, "{method}: {exit}");
        drop(process);
    }
}

#[allow(clippy::exit)]
fn exit_with(code: i32) {
    std::process::exit(code)
}
