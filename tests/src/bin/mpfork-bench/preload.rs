//! Memory for forks to copy the tables of, as much as the variable says.

/// One allocation, in bytes.
const PIECE: usize = 1000;

mpfork::preload! {
    static PIECES: Vec<Box<[u8]>> = allocate;
    env = ["MPFORK_BENCH_PRELOAD_MB"],
}

fn allocate() -> Result<Vec<Box<[u8]>>, std::num::ParseIntError> {
    let megabytes = std::env::var("MPFORK_BENCH_PRELOAD_MB");
    let megabytes = megabytes.map_or(Ok(0), |text| text.parse::<usize>())?;
    let piece = |number: usize| vec![number.to_le_bytes()[0]; PIECE].into_boxed_slice();
    Ok((0..megabytes * 1_000_000 / PIECE).map(piece).collect())
}

/// Has this process preload what its zygote would.
pub(crate) fn load() {
    std::hint::black_box(PIECES.len());
}
