//! More shared memory than is allowed.

use super::common::{ended, say_error, worker_error};
use mpfork::{Context, Shared, SharedBuilder, SharedError};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::Write as _;

fn tell(error: impl std::fmt::Display) {
    println!("{error}");
    std::io::stdout().flush().unwrap();
}

fn fill(bytes: usize) -> Result<Shared<u8>, SharedError> {
    let mut builder = Shared::builder();
    for _ in 0..bytes >> 10 {
        builder.extend_from_slice(&[1; 1 << 10])?;
    }
    builder.seal()
}

fn limit(resource: Resource, soft: u64) {
    let limit = rustix::process::getrlimit(resource);
    let limit = Rlimit {
        current: Some(soft),
        ..limit
    };
    setrlimit(resource, limit).unwrap();
}

/// In a process that may have little: what it may not is an error, and ends nobody.
fn fill_too_much() {
    tell(SharedBuilder::<u16>::with_capacity(1 << 20).unwrap_err());
    let mut builder = Shared::builder();
    let error = (0..1_000_000u64).try_for_each(|n| builder.push(n));
    tell(error.unwrap_err());
    tell(builder.seal().unwrap_err());
    tell(fill(2 << 20).unwrap_err());
    assert_eq!(fill(1 << 20).unwrap().len(), 1 << 20);
    // What is executed later is limited, too; here it is no more.
    limit(Resource::Fsize, 1 << 30);
    let mut filled = Shared::<u8>::builder();
    for _ in 0..1 << 10 {
        filled.write_all(&[1; 1 << 16]).unwrap();
    }
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    limit(Resource::As, pages * 4096 + (32 << 20));
    tell(filled.seal().unwrap_err());
    limit(Resource::Nofile, 0);
    tell(fill(1 << 20).unwrap_err());
}

pub(crate) fn beyond_limits(ctx: &Context) {
    let (most, fsize) = (1 << 20, Resource::Fsize as u32);
    let process = ctx.process(fill_too_much, ()).rlimit(fsize, most, 1 << 30);
    let (exit, out, err) = ended(process);
    assert!(exit.success(), "{exit} {err}");
    print!("{out}");
    // In arguments and results it is the same memory that goes with them, when they are large.
    limit(Resource::Fsize, 1 << 16);
    let large = "x".repeat(1 << 17);
    say_error(&ctx.spawn(|text: String| text.len(), large).unwrap_err());
    let call = ctx.spawn(|count: usize| vec![1u8; count], 1usize << 17);
    let error = worker_error(call.unwrap().join());
    println!("{}: {error}", error.exit.exitcode());
}
