//! The main image in PE: the module that the process was made from.

use crate::image::{Image, Segment};
use windows_sys::Win32::System::Diagnostics::Debug::{
    IMAGE_NT_HEADERS64, IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_READ, IMAGE_SECTION_HEADER,
};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::System::SystemServices::{
    IMAGE_DOS_HEADER, IMAGE_DOS_SIGNATURE, IMAGE_NT_SIGNATURE,
};

/// The main image, as the loader has mapped it; empty when it is no such image.
pub(crate) fn main_image() -> Image {
    let mut image = Image::default();
    // SAFETY: without a name it is the module of the program, which stays loaded.
    let module = unsafe { GetModuleHandleW(std::ptr::null()) };
    if module.is_null() {
        return image;
    }
    // SAFETY: a module's handle is the address of its image, which begins with this header.
    let dos = unsafe { &*module.cast::<IMAGE_DOS_HEADER>() };
    let Ok(offset) = usize::try_from(dos.e_lfanew) else {
        return image;
    };
    if dos.e_magic != IMAGE_DOS_SIGNATURE {
        return image;
    }
    let headers = module.cast::<u8>().wrapping_add(offset);
    // SAFETY: the first header says where the others are, in the image, which the loader has checked.
    let headers = unsafe { &*headers.cast::<IMAGE_NT_HEADERS64>() };
    if headers.Signature != IMAGE_NT_SIGNATURE {
        return image;
    }
    image.base = module.expose_provenance();
    let optional = std::ptr::from_ref(&headers.OptionalHeader).cast::<u8>();
    let sections = optional.wrapping_add(usize::from(headers.FileHeader.SizeOfOptionalHeader));
    let count = usize::from(headers.FileHeader.NumberOfSections);
    // SAFETY: so many headers of sections follow the optional header, as the loader has checked.
    let sections =
        unsafe { std::slice::from_raw_parts(sections.cast::<IMAGE_SECTION_HEADER>(), count) };
    for section in sections {
        // SAFETY: two readings of one integer.
        let length = unsafe { section.Misc.VirtualSize } as usize;
        let start = image.base.wrapping_add(section.VirtualAddress as usize);
        let segment = Segment {
            start,
            end: start.saturating_add(length),
        };
        if section.Characteristics & IMAGE_SCN_MEM_READ != 0 {
            image.readable.push(segment);
            if section.Characteristics & IMAGE_SCN_MEM_EXECUTE != 0 {
                image.executable.push(segment);
            }
        }
    }
    image
}
