//! The main image in Mach-O: the header that the loader has put first, and its load commands.

use super::dyld;
use crate::image::{Image, Segment};

const MAGIC_64: u32 = 0xfeed_facf;
const LC_SEGMENT_64: u32 = 0x19;
const LC_UUID: u32 = 0x1b;

/// The main image, as the loader tells it; empty when its header is not that of a 64-bit program.
pub(crate) fn main_image() -> Image {
    let mut image = Image::default();
    // The first image is the program, which stays loaded.
    let header = dyld::image_header(0);
    if header.is_null() || !header.is_aligned() {
        return image;
    }
    // SAFETY: the loader's pointer to the header of a loaded image; both kinds of header begin with
    // these fields, and the magic is looked at before the rest is believed.
    let known = unsafe { &*header };
    if known.magic != MAGIC_64 {
        return image;
    }
    let slide = dyld::image_slide(0);
    image.base = header.expose_provenance();
    let commands = header.wrapping_add(1).cast::<u8>();
    // SAFETY: the load commands follow the header in its segment: so many bytes, says the header.
    let commands = unsafe { std::slice::from_raw_parts(commands, known.command_bytes as usize) };
    let mut rest = commands;
    for _ in 0..known.commands {
        let (Some(kind), Some(length)) = (word(rest, 0), word(rest, 4)) else {
            break;
        };
        let Some((command, next)) = rest.split_at_checked(length as usize) else {
            break;
        };
        match kind {
            LC_SEGMENT_64 => segment(&mut image, command, slide),
            LC_UUID => image.build_id = command.get(8..24),
            _ => {}
        }
        rest = next;
    }
    image
}

/// Notes a segment, whose command has at 24 the address and at 32 the length in memory, and at 60 its
/// first protection.
fn segment(image: &mut Image, command: &[u8], slide: isize) {
    const READ: u32 = 1;
    const EXECUTE: u32 = 4;
    let (Some(address), Some(length), Some(protection)) =
        (long(command, 24), long(command, 32), word(command, 60))
    else {
        return;
    };
    let start = address.wrapping_add_signed(slide);
    let segment = Segment {
        start,
        end: start.saturating_add(length),
    };
    // The page at zero is not readable.
    if protection & READ != 0 {
        image.readable.push(segment);
        if protection & EXECUTE != 0 {
            image.executable.push(segment);
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}
