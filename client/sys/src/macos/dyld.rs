//! The loader, as dyld(3) describes it.

/// The beginning of every program: `struct mach_header_64` of mach-o/loader.h.
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: u32,
    _cpu: [i32; 2],
    _kind: u32,
    /// How many load commands there are,
    pub(super) commands: u32,
    /// and how many bytes they take.
    pub(super) command_bytes: u32,
    _flags: [u32; 2],
}

unsafe extern "C" {
    #[link_name = "_dyld_image_count"]
    pub(super) safe fn image_count() -> u32;
    /// Null for a number that is no image's.
    #[link_name = "_dyld_get_image_header"]
    pub(super) safe fn image_header(index: u32) -> *const Header;
    #[link_name = "_dyld_get_image_vmaddr_slide"]
    pub(super) safe fn image_slide(index: u32) -> isize;
    /// Null for a number that is no image's.
    #[link_name = "_dyld_get_image_name"]
    pub(super) safe fn image_name(index: u32) -> *const std::ffi::c_char;
}
