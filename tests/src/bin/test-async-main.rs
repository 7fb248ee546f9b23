//! A program whose `main` is async: a zygote of it must not have its runtime's threads.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // It is a test, and may panic.

#[cfg(unix)]
#[mpfork::main]
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), mpfork::Error> {
    /// How many this process has, as the system tells.
    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").unwrap().count()
    }
    assert!(threads() > 1, "the runtime's");
    let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
    let seen = ctx.spawn_async(threads, ()).await?.join_async().await?;
    assert_eq!(seen, 1);
    Ok(())
}

/// It asks for a forkserver.
#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    mpfork_proto::platform::NotOnThisPlatform {
        program: "test-async-main",
    }
    .end()
}
