//! The main image in ELF.

use crate::image::{Image, Segment};
use crate::notes::note;

/// The ELF build id, of these notes.
fn build_id(image: &Image, notes: &[Segment]) -> Option<&'static [u8]> {
    const BUILD_ID: u32 = 3;
    notes
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

/// The main image, with the notes it has.
#[derive(Default)]
struct Found {
    image: Image,
    notes: Vec<Segment>,
}

/// The main image, as the loader tells it.
pub(crate) fn main_image() -> Image {
    let mut found = Found::default();
    // SAFETY: the callback is called during this call only, with the pointer given here, which points
    // to a value nothing else uses meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut found).cast()) };
    let Found { mut image, notes } = found;
    image.build_id = build_id(&image, &notes);
    image
}

/// The first object is the program itself; returning non-zero ends the iteration.
extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    found: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader passes a valid structure for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: this is the pointer given to dl_iterate_phdr above, to an exclusively used value.
    let Found { image, notes } = unsafe { &mut *found.cast::<Found>() };
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
            notes.push(segment);
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
