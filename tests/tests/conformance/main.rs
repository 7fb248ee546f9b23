//! The conformance suite: every scenario by every way of starting processes. `fork::`, `spawn::`,
//! `embedded::` and `mpforkd::` are the ways; what the scenarios do is in `src/bin/conformance`, and what
//! they must print in `said`.
//!
//! `cargo test -p mpfork-tests --test conformance -- --ignored --nocapture table` runs all and prints the
//! table.
#![allow(clippy::unwrap_used)]

mod checks;
mod expected;
#[path = "../../src/conformance/scenarios.rs"]
mod scenarios;
mod table;

use scenarios::scenarios;

/// The tests of a way, in modules by subject.
macro_rules! tests {
    ($way:ident; $($subject:ident { $($scenario:ident)* })*) => {
        mod $way {
            $(mod $subject {
                $(#[test]
                fn $scenario() {
                    let (subject, scenario) = (stringify!($subject), stringify!($scenario));
                    crate::checks::check(stringify!($way), subject, scenario);
                })*
            })*
        }
    };
}
scenarios!(tests fork);
scenarios!(tests spawn);
scenarios!(tests embedded);
scenarios!(tests mpforkd);

/// The same in a program that aborts at panics, where that makes a difference.
mod abort {
    macro_rules! tests {
        ($way:ident) => {
            #[test]
            fn $way() {
                crate::checks::check_aborting(stringify!($way));
            }
        };
    }
    tests!(fork);
    tests!(spawn);
    tests!(embedded);
    tests!(mpforkd);
}
