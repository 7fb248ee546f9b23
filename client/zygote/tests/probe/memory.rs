//! Preloads that take memory, and writes to it.

use std::sync::atomic::{AtomicU8, Ordering};

/// What malloc puts side by side.
type Piece = Box<[AtomicU8; 48]>;

fn number(variable: &str) -> usize {
    let value = std::env::var(variable).ok();
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

mpfork_zygote::preload! {
    /// `PROBE_HEAP_MB` megabytes of small pieces, and free ones between them.
    static HEAP: Vec<Piece> = || {
        let piece = || Box::new([const { AtomicU8::new(1) }; 48]);
        let mut pieces = Vec::new();
        // Each takes 64 bytes.
        for index in 0..number("PROBE_HEAP_MB") << 14 {
            pieces.push(piece());
            if index % 16 == 0 {
                pieces.push(piece());
            }
        }
        // Those between are freed here and there, as programs do.
        let mut index = 0;
        let free = pieces.extract_if(.., |_| {
            index += 1;
            index % 17 == 0
        });
        let mut free: Vec<Option<Piece>> = free.map(Some).collect();
        for index in 0..free.len() {
            let place = index * 7919 % free.len();
            free[place] = None;
        }
        pieces
    };
    name = "heap",
    env = ["PROBE_HEAP_MB"],
}

mpfork_zygote::preload! {
    /// `PROBE_SPARSE_MB` megabytes of addresses, of which one page in 64 is there.
    static SPARSE: Vec<u8> = || {
        let mut bytes = vec![0; number("PROBE_SPARSE_MB") << 20];
        for page in bytes.chunks_mut(64 * 4096) {
            page[0] = 1;
        }
        bytes
    };
    name = "sparse",
    env = ["PROBE_SPARSE_MB"],
}

mpfork_zygote::preload! {
    /// What a preload finds of the variable that its launch changes.
    pub(crate) static TUNABLES: String = || {
        std::env::var("GLIBC_TUNABLES").unwrap_or_else(|_| "none".to_owned())
    };
    name = "tunables",
    env = ["GLIBC_TUNABLES"],
}

mpfork_zygote::preload! {
    /// `PROBE_HOLLOW_MB` megabytes of small pieces, all but a few of which are freed.
    static HOLLOW: Vec<Piece> = || {
        let piece = |_| Box::new([const { AtomicU8::new(1) }; 48]);
        let mut pieces: Vec<Piece> = (0..number("PROBE_HOLLOW_MB") << 14).map(piece).collect();
        let mut index = 0;
        pieces.retain(|_| {
            index += 1;
            index % 200_000 == 0
        });
        // What comes last keeps the heap's end where it is.
        pieces.push(piece(0));
        pieces
    };
    name = "hollow",
    env = ["PROBE_HOLLOW_MB"],
}

/// Writes to as many places of the heap as `PROBE_SCATTER` says.
pub(crate) fn scatter() {
    let places = number("PROBE_SCATTER");
    if places > 0 && HEAP.is_loaded() {
        for piece in HEAP.iter().step_by(HEAP.len() / places) {
            piece[0].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Never called: the registry alone loads it.
#[allow(dead_code)]
fn others() -> usize {
    SPARSE.len() + HOLLOW.len()
}
