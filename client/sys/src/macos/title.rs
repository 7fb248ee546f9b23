//! What ps(1) shows as a process's command line: here a process can't change it.

/// Takes the room for workers' arguments out of this process's title: there is none.
pub fn hide_room() {}

/// Notes where the process's own arguments end: nobody asks.
pub(crate) fn set_end(_end: usize) {}

/// Makes what lies between these addresses the title: ps(1) goes on showing the first one.
pub(crate) fn set(_start: usize, _end: usize) {}

/// Whether this system lets a process set its own title.
#[must_use]
pub fn can_be_set() -> bool {
    false
}
