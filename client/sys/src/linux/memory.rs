//! Huge pages by madvise(2), and the heap of the GNU C library.

use crate::memory::Supply;
use std::io;
use std::ops::Range;

#[cfg(target_env = "gnu")]
pub(crate) use super::heap::{keep_heap_small, lay_out_arena, plug_heap, trim_heap};
#[cfg(not(target_env = "gnu"))]
pub(crate) use other_heap::{keep_heap_small, lay_out_arena, plug_heap, trim_heap};

pub(crate) use super::smaps::{about_private_bytes, mappings, totals};

pub(crate) fn supplies() -> Vec<Supply> {
    let mut supplies = super::cgroup::memory_supplies();
    supplies.extend(super::smaps::of_the_machine());
    supplies
}

/// Added in Linux 6.1.
const MADV_COLLAPSE: libc::c_int = 25;

pub(crate) fn huge_page_size() -> Option<usize> {
    let size = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    let size: usize = size.ok()?.trim().parse().ok()?;
    (size.is_power_of_two() && size > rustix::param::page_size()).then_some(size)
}

pub(crate) fn advise_huge(range: &Range<usize>) -> io::Result<()> {
    advise(range, libc::MADV_HUGEPAGE)
}

pub(crate) fn advise_small(range: &Range<usize>) -> io::Result<()> {
    advise(range, libc::MADV_NOHUGEPAGE)
}

pub(crate) fn collapse(range: &Range<usize>) -> io::Result<()> {
    advise(range, MADV_COLLAPSE)
}

/// With one of the three above, none of which changes what the memory holds.
fn advise(range: &Range<usize>, advice: libc::c_int) -> io::Result<()> {
    let address = std::ptr::without_provenance_mut(range.start);
    // SAFETY: the advice is about how the range is backed and leaves alone what it holds, whoever's it
    // is; what is not mapped the kernel refuses.
    match unsafe { libc::madvise(address, range.len(), advice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(crate) fn present_bytes(range: &Range<usize>) -> io::Result<usize> {
    const PAGES: usize = 1024;
    let page = rustix::param::page_size();
    let mut present = 0;
    let mut at = range.start;
    while at < range.end {
        let mut pages = [0u8; PAGES];
        let length = (range.end - at).min(PAGES * page);
        let address = std::ptr::without_provenance_mut(at);
        // SAFETY: the kernel writes one byte for each page of the range, of which there are at most as
        // many as the array has; what is not mapped it refuses.
        if unsafe { libc::mincore(address, length, pages.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let there = pages[..length.div_ceil(page)].iter();
        present += there.filter(|byte| **byte & 1 != 0).count() * page;
        at += length;
    }
    Ok(present)
}

pub(crate) fn probe_collapse() -> io::Result<()> {
    let size = huge_page_size().ok_or(io::ErrorKind::Unsupported)?;
    let mapping = Ours::new(2 * size)?;
    let start = mapping.address.next_multiple_of(size);
    mapping.touch(start)?;
    collapse(&(start..start + size))?;
    // Judged by what has become of it: one page was there, and now all are.
    match present_bytes(&(start..start + size))? == size {
        true => Ok(()),
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Private memory to try something with.
struct Ours {
    address: usize,
    length: usize,
}

impl Ours {
    fn new(length: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), length, access, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            address: address.expose_provenance(),
            length,
        })
    }

    /// Has the page at this address be there.
    fn touch(&self, address: usize) -> io::Result<()> {
        if !(self.address..self.address + self.length).contains(&address) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let byte: *mut u8 = std::ptr::with_exposed_provenance_mut(address);
        // SAFETY: within the mapping, which may be written and which nobody else knows.
        unsafe { byte.write_volatile(1) };
        Ok(())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let address = std::ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: the mapping is this value's own, and nothing points into it any more.
        unsafe { libc::munmap(address, self.length) };
    }
}

#[cfg(not(target_env = "gnu"))]
mod other_heap {
    use crate::memory::Plugged;
    use std::io;
    use std::ops::Range;

    pub(crate) fn trim_heap() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn keep_heap_small() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn plug_heap(_is_over: &dyn Fn() -> bool) -> io::Result<Plugged> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn lay_out_arena(_bytes: usize, _boundary: usize) -> io::Result<Range<usize>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_there_and_what_is_collapsed_is_all_there() {
        let page = rustix::param::page_size();
        let mapping = Ours::new(64 * page).unwrap();
        let range = mapping.address..mapping.address + mapping.length;
        advise_small(&range).unwrap();
        assert_eq!(present_bytes(&range).unwrap(), 0);
        mapping.touch(range.start + 3 * page).unwrap();
        assert_eq!(present_bytes(&range).unwrap(), page);
        assert!(mapping.touch(range.end).is_err());
        drop(mapping);
        match probe_collapse() {
            Ok(()) => assert!(huge_page_size().is_some()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn what_is_not_mapped_is_refused() {
        let nowhere = 0..rustix::param::page_size();
        assert!(present_bytes(&nowhere).is_err());
        assert!(collapse(&nowhere).is_err());
    }
}
