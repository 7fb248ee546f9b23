//! Workers that start workers.

use super::common::context;
use mpfork::{Context, Error};

pub(crate) fn starts(ctx: &Context) {
    let call = ctx.spawn(
        || -> Result<(u32, i32), Error> {
            let ctx = context();
            let inner = ctx.spawn(|n: u32| n * n, 9)?.join()?;
            let mut process = ctx
                .process(|| std::process::ExitCode::from(5), ())
                .start()?;
            process.join(None)?;
            Ok((inner, process.exitcode().unwrap_or(-1)))
        },
        (),
    );
    assert_eq!(call.unwrap().join().unwrap(), (81, 5));
    // What fails in there is told out here.
    let call = ctx.spawn(
        || -> Result<(), Error> { context().spawn(|| -> () { panic!("deep") }, ())?.join() },
        (),
    );
    let told = super::common::failure(call.unwrap().join());
    println!("{}", super::common::plain(&told.to_string()));
}

fn deeper(depth: u32) -> Result<Vec<u32>, Error> {
    let mut pids = match depth {
        0 => Vec::new(),
        _ => context().spawn(deeper, depth - 1)?.join()?,
    };
    pids.push(std::process::id());
    Ok(pids)
}

pub(crate) fn two_deep(ctx: &Context) {
    let mut pids = ctx.spawn(deeper, 2).unwrap().join().unwrap();
    pids.push(std::process::id());
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 4);
}
