//! Handles by number: what a new process must do to become the owner of those it was given, and pipes.

use std::io;
use std::os::windows::io::{
    AsRawHandle as _, BorrowedHandle, FromRawHandle as _, OwnedHandle, RawHandle,
};
use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::Storage::FileSystem::{FILE_TYPE_PIPE, GetFileType};
use windows_sys::Win32::System::Pipes::PeekNamedPipe;

/// Takes the pipe's end that the process was given under this number, and makes it one that is not
/// inherited. `None` when the number is not such a handle.
///
/// To be called at the start of a program, once for a number: whoever else holds the number as its own
/// would share it.
#[must_use]
pub fn adopt_pipe(number: usize) -> Option<OwnedHandle> {
    let handle: RawHandle = std::ptr::with_exposed_provenance_mut(number);
    // SAFETY: a number that is no handle is an error without effect.
    if number == 0 || unsafe { GetFileType(handle) } != FILE_TYPE_PIPE {
        return None;
    }
    // SAFETY: as above.
    if unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) } == 0 {
        return None;
    }
    // SAFETY: the handle is open and nothing in this program owns it: it was given to the process.
    Some(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// How many bytes can be read from a pipe without waiting.
///
/// # Errors
/// Of kind [`io::ErrorKind::BrokenPipe`] when all is read and nobody can write any more.
pub fn available(pipe: BorrowedHandle<'_>) -> io::Result<usize> {
    let mut count = 0;
    // SAFETY: nothing is read; the number goes to a variable of ours that outlives the call.
    let done = unsafe {
        PeekNamedPipe(
            pipe.as_raw_handle(),
            std::ptr::null_mut(),
            0,
            std::ptr::null_mut(),
            &raw mut count,
            std::ptr::null_mut(),
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(count).map_err(io::Error::other)
}
