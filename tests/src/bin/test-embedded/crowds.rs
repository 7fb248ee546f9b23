//! Many at once.

use super::common::{context, file, gate, limit_descriptors, make, pass, runtime};
use futures_util::future::join_all;
use std::time::Instant;

/// So many processes that are alive together, joined by as many tasks.
pub(crate) fn burst(many: usize) {
    limit_descriptors(1 << 16);
    let runtime = runtime(2);
    let ctx = context();
    let gate = gate("gate");
    let begun = Instant::now();
    let mut all = Vec::with_capacity(many);
    for _ in 0..many {
        all.push(ctx.process(pass, "gate".to_owned()).start().unwrap());
    }
    let started = begun.elapsed();
    assert!(all.iter().all(mpfork::Process::is_alive));
    let begun = Instant::now();
    let exits = runtime.block_on(async {
        let joining = all.iter_mut().map(mpfork::Process::join_async);
        let opening = tokio::task::spawn_blocking(|| drop(gate));
        let exits = join_all(joining).await;
        opening.await.unwrap();
        exits
    });
    println!("started in {started:?}, joined in {:?}", begun.elapsed());
    for exit in exits {
        assert!(exit.unwrap().success());
    }
    assert!(mpfork::active_children().is_empty());
}

/// For workers: starts one, which tells that it runs.
fn start_one(name: String) -> i32 {
    let mut process = context().process(note, name).start().unwrap();
    process.join(None).unwrap();
    process.exitcode().unwrap()
}

/// For workers of workers.
fn note(name: String) {
    make(&format!("note-{}", std::process::id()));
    pass(name);
}

/// More processes ask one zygote for workers than it has links.
pub(crate) fn nested() {
    const MANY: usize = 300;
    limit_descriptors(1 << 16);
    let gate = gate("gate");
    let ctx = context();
    let start = |_| ctx.spawn(start_one, "gate".to_owned()).unwrap();
    let all: Vec<_> = (0..MANY).map(start).collect();
    super::common::eventually("all have one", || {
        let notes = std::fs::read_dir(file(".")).unwrap();
        let notes = notes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        notes.filter(|name| name.starts_with("note-")).count() == MANY
            || all.iter().any(|worker| !worker.process().is_alive())
    });
    drop(gate);
    for worker in all {
        assert_eq!(worker.join().unwrap(), 0);
    }
}
