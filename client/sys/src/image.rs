//! The program's main image: where the system has loaded it, and what it says of itself.

use crate::platform::image as platform;
use std::sync::OnceLock;

/// A loaded segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The main image.
#[derive(Debug, Default)]
pub(crate) struct Image {
    pub(crate) base: usize,
    pub(crate) readable: Vec<Segment>,
    pub(crate) executable: Vec<Segment>,
    /// What identifies the build.
    pub(crate) build_id: Option<&'static [u8]>,
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

/// What the program's linker made of its contents: the ELF build id, Mach-O's UUID. `None` when it has
/// none.
#[must_use]
pub fn build_id() -> Option<&'static [u8]> {
    image().build_id
}

/// The main image, as the loader tells it.
pub(crate) fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(platform::main_image)
}

#[cfg(test)]
mod tests {
    use super::*;

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
