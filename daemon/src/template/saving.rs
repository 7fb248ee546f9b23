//! What workers save by sharing their zygote's memory, against workers that had been spawned.

use mpfork_proto::v1::Saving;
use mpfork_sys::processes::{self, Memory};
use std::time::SystemTime;

/// Of how many workers the memory is read: that takes some 10 ms for each GB.
pub(super) const READ: usize = 8;

/// Estimates it from the zygote's memory and that of some of the workers, of which there are so many. Spares
/// are taken to be like the zygote. `None` where the system does not tell, or all have ended meanwhile.
pub(super) fn estimate(
    zygote: &Memory,
    spares: usize,
    workers: &[i32],
    count: usize,
) -> Option<Saving> {
    let read = workers
        .iter()
        .filter_map(|pid| processes::memory(*pid).ok());
    let read: Vec<Memory> = read.collect();
    of(zygote, spares, &read, count)
}

fn of(zygote: &Memory, spares: usize, workers: &[Memory], count: usize) -> Option<Saving> {
    let share = |memory: &Memory| memory.anonymous_share + memory.shared_memory_share;
    if workers.is_empty() || share(zygote) == 0 {
        return None;
    }
    // Of shared memory a worker has in its tables only what it has used.
    let alone = |worker: &Memory| worker.anonymous + worker.shared_memory.max(zygote.shared_memory);
    let of_all = |sum: u64| {
        let sum = u128::from(sum) * count as u128 / workers.len() as u128;
        u64::try_from(sum).unwrap_or(u64::MAX)
    };
    let kept = u64::try_from(spares + 1).unwrap_or(u64::MAX);
    let kept = share(zygote).saturating_mul(kept);
    let wire = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Some(Saving {
        spawned_bytes: of_all(workers.iter().map(alone).sum()),
        taken_bytes: of_all(workers.iter().map(share).sum()).saturating_add(kept),
        workers: wire(count),
        workers_read: wire(workers.len()),
        sampled: Some(SystemTime::now().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn memory(anonymous: u64, shared_memory: u64, shares: (u64, u64)) -> Memory {
        Memory {
            resident: 0,
            proportional: 0,
            private: 0,
            anonymous: anonymous * MB,
            shared_memory: shared_memory * MB,
            anonymous_share: shares.0 * MB,
            shared_memory_share: shares.1 * MB,
        }
    }

    #[test]
    fn those_not_read_are_like_those_read() {
        // Three share 90 MB, each worker has 10 of its own.
        let zygote = memory(90, 0, (30, 0));
        let worker = memory(100, 0, (40, 0));
        let saving = of(&zygote, 0, &[worker, worker], 2).unwrap();
        assert_eq!(saving.spawned_bytes, 200 * MB);
        assert_eq!(saving.taken_bytes, 110 * MB);
        let saving = of(&zygote, 0, &[worker, worker], 20).unwrap();
        assert_eq!((saving.workers, saving.workers_read), (20, 2));
        assert_eq!(saving.spawned_bytes, 2000 * MB);
        assert_eq!(saving.taken_bytes, 830 * MB);
    }

    #[test]
    fn spares_have_their_share() {
        // Ten share 100 MB.
        let zygote = memory(100, 0, (10, 0));
        let saving = of(&zygote, 8, &[memory(100, 0, (10, 0))], 1).unwrap();
        assert_eq!(saving.spawned_bytes, 100 * MB);
        assert_eq!(saving.taken_bytes, 100 * MB, "one worker saves nothing");
    }

    #[test]
    fn shared_memory_would_be_loaded_by_each() {
        let zygote = memory(1, 50, (1, 40));
        let saving = of(&zygote, 0, &[memory(1, 10, (1, 10))], 1).unwrap();
        assert_eq!(saving.spawned_bytes, 51 * MB);
        assert_eq!(saving.taken_bytes, 52 * MB);
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        assert_eq!(of(&memory(1, 0, (1, 0)), 0, &[], 3), None);
        assert_eq!(
            of(&memory(0, 0, (0, 0)), 0, &[memory(1, 0, (1, 0))], 1),
            None
        );
    }
}
