//! What preloads leave behind: open descriptors, mapped files, memory.

use mpfork_proto::link::KeptDescriptor;
use std::collections::BTreeSet;
use std::os::fd::RawFd;

/// How many loaded files are told.
const MAX_FILES: usize = 256;

/// The open descriptors and mapped files of this process at one time.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    descriptors: BTreeSet<RawFd>,
    files: BTreeSet<Vec<u8>>,
}

impl Snapshot {
    /// Looks at this process; with nothing to load there is nothing to see.
    pub(super) fn take(needed: bool) -> Self {
        if !needed {
            return Self::default();
        }
        Self {
            descriptors: mpfork_sys::descriptors::open_numbers()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            files: mpfork_sys::own_process::mapped_files(),
        }
    }

    pub(super) fn opened_since(&self, before: &Self) -> Vec<RawFd> {
        self.descriptors
            .difference(&before.descriptors)
            .copied()
            .collect()
    }

    pub(super) fn mapped_since(&self, before: &Self) -> Vec<Vec<u8>> {
        self.files
            .difference(&before.files)
            .take(MAX_FILES)
            .cloned()
            .collect()
    }
}

/// The descriptors and what they are.
pub(super) fn describe(numbers: &[RawFd]) -> Vec<KeptDescriptor> {
    numbers
        .iter()
        .map(|number| {
            let what = mpfork_sys::descriptors::describe(*number);
            KeptDescriptor {
                number: number.unsigned_abs(),
                what: crate::fault::cut(&what, 4096),
            }
        })
        .collect()
}
