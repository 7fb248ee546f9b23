//! Doing without what root is exempt from. Only Linux exempts it.

#[cfg(target_os = "linux")]
use rustix::thread::{CapabilitySet, capabilities, remove_capability_from_bounding_set};

/// Gives up what exempts root from the limit of descriptors in flight, for this thread and all that
/// it executes.
///
/// # Panics
/// When it can't be given up.
#[cfg(target_os = "linux")]
pub fn give_up_exemptions() {
    let exempt = [CapabilitySet::SYS_RESOURCE, CapabilitySet::SYS_ADMIN];
    let mut sets = capabilities(None).unwrap();
    // Who can't give it up for those it executes does not have it to give.
    if sets.effective.contains(CapabilitySet::SETPCAP) {
        for capability in exempt {
            remove_capability_from_bounding_set(capability).unwrap();
        }
    }
    for capability in exempt {
        sets.effective.remove(capability);
    }
    rustix::thread::set_capabilities(None, sets).unwrap();
}
