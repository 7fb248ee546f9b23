//! Threads, as Mach tells them.

use super::libproc;
use std::mem::MaybeUninit;

pub(crate) fn is_single() -> bool {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    libproc::info::<libc::proc_taskinfo>(own).is_ok_and(|info| info.pti_threadnum == 1)
}

/// The port by which the kernel names it.
pub(crate) fn own_number() -> u64 {
    // SAFETY: calls without requirements; the port stays the thread's own.
    u64::from(unsafe { pthread_mach_thread_np(libc::pthread_self()) })
}

pub(crate) fn is_there(thread: u64) -> bool {
    let threads = Threads::all();
    threads
        .ports()
        .iter()
        .any(|port| u64::from(*port) == thread)
}

pub(crate) fn is_main() -> bool {
    // SAFETY: a call without requirements.
    unsafe { libc::pthread_main_np() == 1 }
}

/// The names of the threads besides the calling one.
pub(crate) fn others() -> Vec<String> {
    // SAFETY: calls without requirements; the port stays the thread's own.
    let own = unsafe { pthread_mach_thread_np(libc::pthread_self()) };
    let threads = Threads::all();
    threads
        .ports()
        .iter()
        .filter(|port| **port != own)
        .map(|port| extended(*port).map_or_else(|| "(ended)".to_owned(), |info| name(&info)))
        .collect()
}

/// The numbers of the threads besides the calling one that wait.
pub(crate) fn sleepers() -> Vec<u64> {
    let own = own_number();
    let threads = Threads::all();
    let ports = threads.ports().iter();
    ports
        .filter(|port| {
            extended(**port).is_some_and(|info| info.pth_run_state == libc::TH_STATE_WAITING)
        })
        .map(|port| u64::from(*port))
        .filter(|number| *number != own)
        .collect()
}

/// Whether the main thread, which is not the calling one, waits.
pub(crate) fn main_sleeps() -> bool {
    // The list begins with the first thread.
    let threads = Threads::all();
    threads
        .ports()
        .first()
        .and_then(|port| extended(*port))
        .is_some_and(|info| info.pth_run_state == libc::TH_STATE_WAITING && !is_main())
}

fn name(info: &libc::thread_extended_info) -> String {
    let bytes: Vec<u8> = info
        .pth_name
        .iter()
        .map(|byte| byte.cast_unsigned())
        .take_while(|byte| *byte != 0)
        .collect();
    match String::from_utf8_lossy(&bytes).into_owned() {
        name if name.is_empty() => "(unnamed)".to_owned(),
        name => name,
    }
}

/// What the kernel tells of a thread; `None` when it has ended.
fn extended(port: libc::mach_port_t) -> Option<libc::thread_extended_info> {
    let mut info = MaybeUninit::<libc::thread_extended_info>::zeroed();
    let mut count = libc::THREAD_EXTENDED_INFO_COUNT;
    // SAFETY: info is ours and outlives the call, and count is its size in words.
    let result = unsafe {
        libc::thread_info(
            port,
            libc::THREAD_EXTENDED_INFO.unsigned_abs(),
            info.as_mut_ptr().cast(),
            &raw mut count,
        )
    };
    // SAFETY: integers, zeroed before the call filled them.
    let info = unsafe { info.assume_init() };
    (result == libc::KERN_SUCCESS).then_some(info)
}

unsafe extern "C" {
    fn pthread_mach_thread_np(thread: libc::pthread_t) -> libc::mach_port_t;
    fn mach_port_deallocate(
        task: libc::mach_port_t,
        name: libc::mach_port_t,
    ) -> libc::kern_return_t;
}

/// The ports of this process's threads, in an array that the kernel has made in this process.
struct Threads {
    array: *mut libc::mach_port_t,
    count: usize,
}

fn task() -> libc::mach_port_t {
    #[allow(deprecated)] // libc wants another crate for it
    // SAFETY: a variable that the C library sets before `main`, and never again.
    unsafe {
        libc::mach_task_self()
    }
}

impl Threads {
    /// None when the kernel does not tell them.
    fn all() -> Self {
        let mut array = std::ptr::null_mut();
        let mut count = 0;
        // SAFETY: array and count are ours and outlive the call.
        let result = unsafe { libc::task_threads(task(), &raw mut array, &raw mut count) };
        if result != libc::KERN_SUCCESS || array.is_null() {
            return Self {
                array: std::ptr::null_mut(),
                count: 0,
            };
        }
        Self {
            array,
            count: count as usize,
        }
    }

    fn ports(&self) -> &[libc::mach_port_t] {
        if self.array.is_null() {
            return &[];
        }
        // SAFETY: the kernel has made an array of this many ports, which lives until it is given back.
        unsafe { std::slice::from_raw_parts(self.array, self.count) }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for port in self.ports() {
            // SAFETY: each listing adds a right to each port, which is given back once.
            unsafe { mach_port_deallocate(task(), *port) };
        }
        if !self.array.is_null() {
            // SAFETY: the kernel's array of this size, which nothing uses any more.
            unsafe {
                libc::vm_deallocate(
                    task(),
                    self.array as libc::vm_address_t,
                    self.count * size_of::<libc::mach_port_t>(),
                )
            };
        }
    }
}
