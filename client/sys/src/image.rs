//! The program's main image: where the system has loaded it, and what it says of itself.

use std::sync::OnceLock;

/// A loaded segment.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start: usize,
    end: usize,
}

/// The main image.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) base: usize,
    readable: Vec<Segment>,
    executable: Vec<Segment>,
    notes: Vec<Segment>,
}

impl Image {
    /// Whether so many bytes from an address on lie in one readable segment, which stays loaded.
    pub(crate) fn contains(&self, address: usize, length: usize) -> bool {
        let end = address.saturating_add(length);
        self.readable
            .iter()
            .any(|segment| segment.start <= address && end <= segment.end)
    }

    /// Whether an address lies in executable code.
    pub(crate) fn is_code(&self, address: usize) -> bool {
        self.executable
            .iter()
            .any(|segment| (segment.start..segment.end).contains(&address))
    }
}

/// The ELF build id of the program: what its linker made of its contents. `None` when it has none.
#[must_use]
pub fn build_id() -> Option<&'static [u8]> {
    const BUILD_ID: u32 = 3;
    let image = image();
    image
        .notes
        .iter()
        .filter(|notes| image.contains(notes.start, notes.end - notes.start))
        .find_map(|notes| {
            let start = std::ptr::with_exposed_provenance::<u8>(notes.start);
            // SAFETY: this many bytes from there lie in a readable segment, which stays loaded, and
            // nobody writes to notes.
            let notes = unsafe { std::slice::from_raw_parts(start, notes.end - notes.start) };
            note(notes, b"GNU\0", BUILD_ID)
        })
        .filter(|id| !id.is_empty())
}

/// The contents of the first note of a name and kind.
pub(crate) fn note<'a>(mut notes: &'a [u8], name: &[u8], kind: u32) -> Option<&'a [u8]> {
    let word = |bytes: &[u8]| Some(u32::from_ne_bytes(*bytes.first_chunk()?));
    let length = |bytes: &[u8]| usize::try_from(word(bytes)?).ok();
    loop {
        let (head, rest) = notes.split_at_checked(12)?;
        let (its_name, rest) = padded(rest, length(head)?)?;
        let (contents, rest) = padded(rest, length(&head[4..])?)?;
        if its_name == name && word(&head[8..])? == kind {
            return Some(contents);
        }
        notes = rest;
    }
}

/// So many bytes, and what comes behind them and their padding.
fn padded(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (taken, _) = bytes.split_at_checked(length)?;
    // The last one may lack its padding.
    let next = length.checked_next_multiple_of(4)?.min(bytes.len());
    Some((taken, &bytes[next..]))
}

/// The main image, as the loader tells it.
pub(crate) fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut image = Image {
            base: 0,
            readable: Vec::new(),
            executable: Vec::new(),
            notes: Vec::new(),
        };
        // SAFETY: the callback is called during this call only, with the pointer given here, which
        // points to an image nothing else uses meanwhile.
        unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut image).cast()) };
        image
    })
}

/// The first object is the program itself; returning non-zero ends the iteration.
extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    image: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader passes a valid structure for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: this is the pointer given to dl_iterate_phdr above, to an exclusively used image.
    let image = unsafe { &mut *image.cast::<Image>() };
    #[allow(clippy::cast_possible_truncation)] // addresses of this process
    {
        image.base = info.dlpi_addr as usize;
    }
    // SAFETY: the loader's structure names this many program headers, which stay loaded.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    for header in headers {
        #[allow(clippy::cast_possible_truncation)] // addresses of this process
        let (start, length) = (
            image.base.wrapping_add(header.p_vaddr as usize),
            header.p_memsz as usize,
        );
        let segment = Segment {
            start,
            end: start.saturating_add(length),
        };
        if header.p_type == libc::PT_NOTE {
            image.notes.push(segment);
        }
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_R != 0 {
            image.readable.push(segment);
            if header.p_flags & libc::PF_X != 0 {
                image.executable.push(segment);
            }
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_by_name_and_kind() {
        let mut notes = Vec::new();
        for (name, kind, contents) in [
            (&b"odd\0"[..], 1_u32, &b"12345"[..]),
            (b"GNU\0", 1, b""),
            (b"GNU\0", 3, b"\x01\x02\x03"),
        ] {
            for word in [name.len(), contents.len()] {
                notes.extend(u32::try_from(word).unwrap().to_ne_bytes());
            }
            notes.extend(kind.to_ne_bytes());
            notes.extend(name);
            notes.extend(contents);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(note(&notes, b"GNU\0", 3), Some(&[1, 2, 3][..]));
        assert_eq!(note(&notes, b"odd\0", 1), Some(&b"12345"[..]));
        assert_eq!(note(&notes, b"GNU\0", 4), None);
        // Cut off anywhere, they are no more than not found.
        for end in 0..notes.len() - 1 {
            assert_eq!(note(&notes[..end], b"GNU\0", 3), None, "{end}");
        }
        assert_eq!(note(&[0xff; 64], b"GNU\0", 3), None);
    }

    #[test]
    fn code_and_data_lie_in_the_image() {
        static DATA: u64 = 17;
        let image = image();
        assert!(image.contains(std::ptr::from_ref(&DATA).addr(), 8));
        let local = 1_u8;
        assert!(!image.contains(std::ptr::from_ref(&local).addr(), 1));
        assert!(!image.contains(usize::MAX, 8));
        assert!(image.is_code(code_and_data_lie_in_the_image as *const () as usize));
        assert!(!image.is_code(std::ptr::from_ref(&DATA).addr()));
    }
}
