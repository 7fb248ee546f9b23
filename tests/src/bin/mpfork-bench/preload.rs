//! Memory for forks to copy the tables of, as much as the variable says, and those who write to it.

use mpfork::{Shared, SharedError};
use mpfork_tests::bench::Hold;
use std::sync::atomic::AtomicU8;

/// One allocation, in bytes.
const PIECE: usize = 1000;

/// Atomic, as workers write to them.
type Pieces = Vec<Box<[AtomicU8]>>;

mpfork::preload! {
    static PIECES: Pieces = allocate;
    env = ["MPFORK_BENCH_PRELOAD_MB"],
}

mpfork::preload! {
    static SHARED: Shared<u8> = share;
    env = ["MPFORK_BENCH_SHARED_MB"],
}

mpfork::register!("bench-hold", mpfork::fallible(hold));

fn allocate() -> Result<Pieces, std::num::ParseIntError> {
    let megabytes = std::env::var("MPFORK_BENCH_PRELOAD_MB");
    let megabytes = megabytes.map_or(Ok(0), |text| text.parse::<usize>())?;
    let piece = |number: usize| {
        let byte = number.to_le_bytes()[0];
        (0..PIECE).map(|_| AtomicU8::new(byte)).collect()
    };
    Ok((0..megabytes * 1_000_000 / PIECE).map(piece).collect())
}

fn share() -> Result<Shared<u8>, SharedError> {
    let megabytes = std::env::var("MPFORK_BENCH_SHARED_MB");
    // Where it is no number there is nothing to share, which the figures show.
    let megabytes = megabytes.map_or(0, |text| text.parse::<usize>().unwrap_or(0));
    let mut shared = Shared::builder();
    for number in 0..megabytes {
        shared.extend_from_slice(&vec![number.to_le_bytes()[0]; 1_000_000])?;
    }
    shared.seal()
}

/// Has this process preload what its zygote would.
pub(crate) fn load() {
    std::hint::black_box(PIECES.len());
}

/// Stays until it is let go.
pub(crate) fn hold(hold: Hold) -> Result<(), String> {
    let told = hold.write_to(&PIECES);
    hold.stay(told).map_err(|error| error.to_string())
}
