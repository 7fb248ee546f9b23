//! The descriptors that streams take of those mpforkd may have open: never those it needs itself, nor
//! those of workers that run.

use crate::worker::table::Workers;
use mpfork_proto::problem::Problem;
use mpfork_sys::limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What workers and their streams may take together.
#[derive(Debug)]
pub(crate) struct Files {
    budget: AtomicUsize,
    taken: Arc<AtomicUsize>,
}

/// A number of descriptors that are taken, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    count: usize,
    from: Arc<AtomicUsize>,
}

impl Files {
    /// What the limit of open files leaves, beside so many spares.
    pub(crate) fn new(spares: usize) -> Self {
        Self {
            budget: AtomicUsize::new(budget(spares)),
            taken: Arc::default(),
        }
    }

    /// There may be so many spares from now on.
    pub(crate) fn set_spares(&self, spares: usize) {
        self.budget.store(budget(spares), Ordering::Relaxed);
    }

    /// How many workers and their streams may take together.
    pub(crate) fn budget(&self) -> usize {
        self.budget.load(Ordering::Relaxed)
    }

    /// How many they take.
    pub(crate) fn used(&self, workers: &Workers) -> usize {
        let by_streams = self.taken.load(Ordering::Relaxed);
        by_streams.saturating_add(by_workers(workers))
    }

    /// Takes some, beside what the workers take that run or are being started. Those that have ended
    /// make room.
    pub(super) fn take(&self, workers: &Workers, count: usize) -> Result<Taken, Problem> {
        self.try_take(workers, count).or_else(|_| {
            workers.close_ended();
            self.try_take(workers, count)
        })
    }

    fn try_take(&self, workers: &Workers, count: usize) -> Result<Taken, Problem> {
        let before = self.taken.fetch_add(count, Ordering::Relaxed);
        let taken = Taken {
            count,
            from: Arc::clone(&self.taken),
        };
        let all = before
            .saturating_add(count)
            .saturating_add(by_workers(workers));
        let budget = self.budget();
        if all > budget {
            let detail = format!("{budget} for workers and the streams it holds of them");
            return Err(Problem::limit("open files of mpforkd", detail));
        }
        Ok(taken)
    }
}

/// What the limit of open files leaves, beside so many spares.
fn budget(spares: usize) -> usize {
    let soft = limits::get(limits::NOFILE).map_or(u64::MAX, |files| files.soft);
    let budget = soft.saturating_sub(crate::run::OWN_FILES);
    let budget = usize::try_from(budget).unwrap_or(usize::MAX);
    budget.saturating_sub(spares.saturating_mul(crate::run::FILES_PER_WORKER))
}

/// What workers take that run or are being started.
fn by_workers(workers: &Workers) -> usize {
    workers.live().saturating_mul(crate::run::FILES_PER_WORKER)
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.from.fetch_sub(self.count, Ordering::Relaxed);
    }
}
