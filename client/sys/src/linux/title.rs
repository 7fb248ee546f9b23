//! What ps(1) shows as a process's command line: the range of memory that the kernel takes for its
//! arguments. Whoever reads it elsewhere (mpforkd, scripts) depends on nothing here: a kernel built
//! without `CONFIG_CHECKPOINT_RESTORE` refuses, and the zygote's first command line stays.

use std::sync::atomic::{AtomicUsize, Ordering};

/// `struct prctl_mm_map` of linux/prctl.h.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Map {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// Where the room behind the arguments begins.
static END: AtomicUsize = AtomicUsize::new(0);

/// Notes where the process's own arguments end.
pub(crate) fn set_end(end: usize) {
    END.store(end, Ordering::Relaxed);
}

/// Takes the room for workers' arguments out of this process's title.
pub fn hide_room() {
    let end = END.load(Ordering::Relaxed) as u64;
    if end != 0
        && let Some(map) = current()
        && map.arg_start < end
    {
        apply(Map {
            arg_end: end,
            ..map
        });
    }
}

/// Makes what lies between these addresses the title: strings, each ended by a NUL byte.
pub(crate) fn set(start: usize, end: usize) {
    if let Some(map) = current() {
        apply(Map {
            arg_start: start as u64,
            arg_end: end as u64,
            ..map
        });
    }
}

/// Whether this kernel lets a process set its own title.
#[must_use]
pub fn can_be_set() -> bool {
    let mut size: libc::c_uint = 0;
    // SAFETY: the kernel writes one number, the size of its structure, to a number of ours.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_MM,
            libc::PR_SET_MM_MAP_SIZE,
            &raw mut size,
            0,
            0,
        )
    };
    result == 0
}

/// The present values; `None` when the kernel neither tells them nor lets them be set.
fn current() -> Option<Map> {
    if !can_be_set() {
        return None;
    }
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, second, is in parentheses and may contain some.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // As proc(5) numbers them.
    let field = |number: usize| -> Option<u64> {
        let value = fields.get(number - 3)?.parse().ok()?;
        // Nothing lies at such an address: it is hidden.
        (value > 1).then_some(value)
    };
    Some(Map {
        start_code: field(26)?,
        end_code: field(27)?,
        start_stack: field(28)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        // Filled in at the last moment: what is freed on the way may move it.
        brk: 0,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        auxv: 0,
        auxv_size: 0,
        // None: it stays.
        exe_fd: u32::MAX,
    })
}

fn apply(mut map: Map) {
    // SAFETY: brk with an address below the heap changes nothing; it gives the present end.
    let brk = unsafe { libc::syscall(libc::SYS_brk, 0) };
    let Ok(brk) = u64::try_from(brk) else {
        return;
    };
    map.brk = brk;
    // SAFETY: the kernel reads a structure of this size. Its values are the present ones, but for the
    // range of the arguments, which the kernel reads for /proc alone. The heap's end can't have moved
    // since it was asked for: nothing was allocated or freed in between, and both callers run in
    // processes of one thread.
    unsafe {
        libc::prctl(
            libc::PR_SET_MM,
            libc::PR_SET_MM_MAP,
            &raw const map,
            size_of::<Map>(),
            0,
        )
    };
}
