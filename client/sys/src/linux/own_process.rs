//! The calling process, as /proc and prctl(2) have it.

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::thread::CpuSet;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};

pub(crate) fn executable() -> io::Result<(PathBuf, PathBuf)> {
    let own = Path::new("/proc/self/exe");
    Ok((own.to_owned(), std::fs::read_link(own)?))
}

pub(crate) fn has_capabilities(file: BorrowedFd<'_>) -> bool {
    let mut capability = [0u8; 64];
    rustix::fs::fgetxattr(file, "security.capability", &mut capability[..]).is_ok()
}

/// umask(2) can't read the mask without setting it, for all threads. Where there is one, and no handler of
/// a signal comes between, nobody sees it. The kernel tells it elsewhere too, which takes much longer.
pub(crate) fn umask() -> Option<u32> {
    const ALL: libc::mode_t = 0o777;
    if super::threads::is_single()
        && let Ok(blocked) = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)
    {
        // Should there be somebody after all, what it makes meanwhile is open to nobody.
        // SAFETY: it takes a number.
        let mask = unsafe { libc::umask(ALL) };
        // Otherwise a filter has refused it, which it does not tell, and nothing is changed.
        let is_told = mask <= ALL;
        if is_told {
            // SAFETY: as above.
            unsafe { libc::umask(mask) };
        }
        // Fails for no mask that was there.
        let _ = blocked.thread_set_mask();
        if is_told {
            return Some(mask);
        }
    }
    told_umask()
}

fn told_umask() -> Option<u32> {
    let mut text = [0; 128];
    let status = rustix::fs::open(
        "/proc/self/status",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let length = rustix::io::read(&status, &mut text).ok()?;
    // The second line, after the name, whose line breaks are escaped.
    let text = String::from_utf8_lossy(text.get(..length)?);
    let mask = text.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}

pub(crate) fn mode(bits: u32) -> Mode {
    Mode::from_bits_truncate(bits)
}

pub(crate) fn affinity() -> Vec<u32> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else {
        // More CPUs than the set has room for.
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        // The set has room for many more than there are.
        .take(set.count().try_into().unwrap_or(usize::MAX))
        .filter_map(|cpu| u32::try_from(cpu).ok())
        .collect()
}

pub(crate) fn set_affinity(cpus: &[u32]) -> io::Result<()> {
    let mut wanted = CpuSet::new();
    for &cpu in cpus {
        match usize::try_from(cpu) {
            Ok(index) if index < CpuSet::MAX_CPU => wanted.set(index),
            _ => return Err(rustix::io::Errno::INVAL.into()),
        }
    }
    if rustix::thread::sched_getaffinity(None).is_ok_and(|now| now == wanted) {
        return Ok(());
    }
    Ok(rustix::thread::sched_setaffinity(None, &wanted)?)
}

pub(crate) fn mapped_files() -> BTreeSet<Vec<u8>> {
    let maps = std::fs::read("/proc/self/maps").unwrap_or_default();
    maps.split(|byte| *byte == b'\n').filter_map(path).collect()
}

/// The path at the end of a line of `/proc/self/maps`, after five other fields.
fn path(line: &[u8]) -> Option<Vec<u8>> {
    let start = line.iter().position(|byte| *byte == b'/')?;
    let path = &line[start..];
    if path.ends_with(b" (deleted)") {
        return None;
    }
    // A newline in a name is escaped, so that lines stay lines.
    let mut parts = path.split(|byte| *byte == b'\\');
    let mut plain = parts.next()?.to_vec();
    for part in parts {
        let (byte, rest) = match part.strip_prefix(b"012") {
            Some(rest) => (b'\n', rest),
            None => (b'\\', part),
        };
        plain.push(byte);
        plain.extend_from_slice(rest);
    }
    Some(plain)
}

/// The memory this process has resident.
pub(crate) fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

pub(crate) fn set_name(name: &CStr) -> io::Result<()> {
    Ok(rustix::thread::set_name(name)?)
}

pub(crate) fn die_with_parent(die: bool) -> io::Result<()> {
    let signal = die.then_some(Signal::KILL);
    Ok(rustix::process::set_parent_process_death_signal(signal)?)
}

/// Asked for when a thread of the parent ends, be it the last one.
const A_THREAD_HAS_ENDED: i32 = 40;

/// The parent that must not end.
static PARENT: AtomicI32 = AtomicI32::new(0);

/// The kernel tells of the end of the *thread* that made this process, when it has made another thread of
/// the same process its parent, and then of that thread's; in the end the parent is another process.
extern "C" fn look_for_parent(_signal: libc::c_int) {
    // SAFETY: it takes nothing and can't fail.
    let parent = unsafe { libc::getppid() };
    if parent != PARENT.load(Ordering::Relaxed) {
        // SAFETY: as above.
        let own = unsafe { libc::getpid() };
        // SAFETY: it takes two numbers, and may be called in a handler.
        unsafe { libc::kill(own, libc::SIGKILL) };
    }
}

pub(crate) fn end_with_parent(end: bool) -> io::Result<()> {
    if !end {
        ask_for(0)?;
        // One that waits, since a preload has blocked it, is forgotten when it is ignored.
        act(libc::SIG_IGN)?;
        return act(libc::SIG_DFL);
    }
    let parent = rustix::process::getppid();
    let parent = parent.map_or(0, |parent| parent.as_raw_nonzero().get());
    PARENT.store(parent, Ordering::Relaxed);
    act(look_for_parent as extern "C" fn(libc::c_int) as libc::sighandler_t)?;
    ask_for(A_THREAD_HAS_ENDED)
}

/// Sets what that signal does: nothing, or to look.
fn act(handler: libc::sighandler_t) -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a structure of numbers, all of which may be 0.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = handler;
    // What a preload waits for goes on.
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the structure is initialised; the handler makes system calls alone, which handlers may.
    let set =
        unsafe { libc::sigaction(A_THREAD_HAS_ENDED, &raw const *action, std::ptr::null_mut()) };
    match set {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn ask_for(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: it takes a number: none, or that of a signal that has a handler by now.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(crate) fn adopt_orphans() -> io::Result<()> {
    let own = rustix::process::getpid();
    Ok(rustix::process::set_child_subreaper(Some(own))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_its_parent_and_no_more() {
        // What the handler does is seen where a zygote outlives the thread that launched it.
        let action = || crate::platform::signals::action_of(A_THREAD_HAS_ENDED);
        let before = action();
        end_with_parent(true).unwrap();
        assert_ne!(action(), before);
        a_thread_has_ended();
        end_with_parent(false).unwrap();
        assert_eq!(action(), Some(libc::SIG_DFL));
    }

    /// As the kernel does when a thread of a parent that lives on has ended.
    fn a_thread_has_ended() {
        // SAFETY: it takes a number.
        assert_eq!(unsafe { libc::raise(A_THREAD_HAS_ENDED) }, 0);
    }

    #[test]
    fn the_umask_is_read_and_left_alone() {
        let mask = umask().unwrap();
        assert!(mask <= 0o777);
        assert_eq!(umask(), Some(mask));
    }

    #[test]
    fn paths_of_mapped_files() {
        let line = |path: &str| format!("7f00-7f01 r--p 00000000 fe:00 123      {path}");
        let of = |text: &str| path(line(text).as_bytes());
        assert_eq!(of("/usr/lib/a b.so"), Some(b"/usr/lib/a b.so".to_vec()));
        assert_eq!(of("/a\\012b\\c"), Some(b"/a\nb\\c".to_vec()));
        assert_eq!(of("[heap]"), None);
        assert_eq!(of("/memfd:x (deleted)"), None);
        assert!(!mapped_files().is_empty());
        assert!(resident_bytes() > 0);
    }
}
