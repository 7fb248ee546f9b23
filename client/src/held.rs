//! The ends of workers' pipes that this process holds: a process that it forks must not, or the workers
//! would never read to their end.

use mpfork_sys::descriptors::file_at;
use std::os::fd::{AsFd, AsRawFd as _, RawFd};
use std::sync::{Mutex, PoisonError};

/// A pipe by its number in the file system of pipes, which none other gets while it is known by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    number: RawFd,
    pipe: (u64, u64),
}

static ENDS: Mutex<Vec<End>> = Mutex::new(Vec::new());

/// So few are not worth looking through.
const FEW: usize = 64;

/// Notes an end. It may be closed at any time, and its number be another's then.
pub(crate) fn note(end: &impl AsFd) {
    let number = end.as_fd().as_raw_fd();
    let Some(pipe) = file_at(number) else { return };
    let mut ends = ENDS.lock().unwrap_or_else(PoisonError::into_inner);
    if ends.len() >= FEW && ends.len().is_power_of_two() {
        ends.retain(is_there);
    }
    ends.push(End { number, pipe });
}

fn is_there(end: &End) -> bool {
    file_at(end.number) == Some(end.pipe)
}

/// The numbers of those that are still open.
pub(crate) fn numbers() -> Vec<RawFd> {
    let mut ends = ENDS.lock().unwrap_or_else(PoisonError::into_inner);
    ends.retain(is_there);
    ends.iter().map(|end| end.number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_known_until_it_is_closed() {
        let (reader, writer) = std::io::pipe().unwrap();
        note(&reader);
        let number = reader.as_raw_fd();
        assert!(numbers().contains(&number));
        drop(reader);
        assert!(!numbers().contains(&number));
        // Another one that gets its number is another one.
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(reader.as_raw_fd(), number);
        assert!(!numbers().contains(&number));
        drop(writer);
    }
}
