//! Random choices that can be made once more.

/// A seed for a test's random choices, printed: another one each time, or the one that the variable
/// `MPFORK_TEST_SEED` gives.
///
/// # Panics
/// When the variable is no number.
#[must_use]
pub fn seed() -> u64 {
    let given = std::env::var("MPFORK_TEST_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("MPFORK_TEST_SEED={seed} makes the same choices once more");
    seed
}

/// How many rounds a random test goes: `few`, or as many as the variable `MPFORK_TEST_ROUNDS` says.
///
/// # Panics
/// When the variable is no number.
#[must_use]
pub fn rounds(few: u32) -> u32 {
    let given = std::env::var("MPFORK_TEST_ROUNDS").ok();
    given.map_or(few, |rounds| rounds.parse().unwrap())
}
