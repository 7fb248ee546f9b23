//! Whether a zygote is worth having: spawning a worker costs what launching the zygote did, and a fork is to
//! cost less.

use std::time::Duration;

/// A zygote whose forks take longer than its launch. At a worker's end the page tables that its fork copied
/// are torn down, which takes about as long again and is not known: it is dear without that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dear {
    fork: Duration,
    launch: Duration,
}

impl Dear {
    pub(super) fn new(fork: Duration, launch: Duration) -> Option<Self> {
        (fork > launch).then_some(Self { fork, launch })
    }

    /// What to do, for people.
    pub(crate) fn advice(self) -> String {
        let Self { fork, launch } = self;
        format!(
            "a fork takes {fork:.1?} and launching the program {launch:.1?}: starting its workers by spawn would be \
             cheaper; or have before_fork hooks do less, keep large state in shared mappings or huge pages, \
             or have more spares"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_costs_more_than_a_launch_is_dear() {
        let [less, more] = [10, 11].map(Duration::from_millis);
        assert_eq!(Dear::new(less, less), None);
        assert_eq!(Dear::new(less, more), None);
        let advice = Dear::new(more, less).unwrap().advice();
        assert!(advice.starts_with("a fork takes 11.0ms and launching the program 10.0ms"));
        assert!(!advice.contains("  "), "{advice}");
    }
}
