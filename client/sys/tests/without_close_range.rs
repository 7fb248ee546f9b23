//! Closing what is not kept where the system refuses to close a range: also when no number is free, which
//! listing them takes. A program of its own, for it loses its descriptors.

fn main() {
    // As the test harness answers it.
    if std::env::args().any(|arg| arg == "--list") {
        println!("without_close_range: test");
        return;
    }
    #[cfg(target_os = "linux")]
    linux::test();
}

#[cfg(target_os = "linux")]
mod linux {
    use mpfork_sys::descriptors::{close_all_but, open_numbers};
    use mpfork_sys::limits::{self, NOFILE, Rlimit};
    use std::fs::File;
    use std::os::fd::{IntoRawFd as _, RawFd};

    pub(crate) fn test() {
        refuse_close_range();
        for free in [1, 0] {
            // A number in between is kept.
            let numbers: Vec<RawFd> = (0..20).map(|_| open()).collect();
            let kept = [0, 1, 2, numbers[10]];
            let limit = numbers[19] + 1 + free;
            limits::set(
                0,
                Rlimit {
                    soft: limit.unsigned_abs().into(),
                    ..limits::get(NOFILE).expect("there is a limit")
                },
            )
            .expect("it can be lowered");
            assert_eq!(File::open("/dev/null").is_ok(), free > 0);
            close_all_but(&kept).expect("they can be listed");
            assert_eq!(open_numbers().expect("they can be listed"), kept);
            close_all_but(&kept[..3]).expect("they can be listed");
        }
    }

    fn open() -> RawFd {
        let file = File::open("/dev/null").expect("there is a null device");
        file.into_raw_fd()
    }

    /// As a filter of system calls does that is older than this one.
    fn refuse_close_range() {
        let number = u32::try_from(libc::SYS_close_range).expect("a system call's number");
        let statement = |code: u32, jumps: (u8, u8), k: u32| libc::sock_filter {
            code: u16::try_from(code).expect("a code of a filter"),
            jt: jumps.0,
            jf: jumps.1,
            k,
        };
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
        let mut program = [
            // The number is what the data begin with.
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, (0, 0), 0),
            statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, (0, 1), number),
            statement(libc::BPF_RET | libc::BPF_K, (0, 0), refused),
            statement(libc::BPF_RET | libc::BPF_K, (0, 0), libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog {
            len: u16::try_from(program.len()).expect("a short one"),
            filter: program.as_mut_ptr(),
        };
        // SAFETY: it takes numbers.
        let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        assert_eq!(set, 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        // SAFETY: the filter is one of so many statements, which are there until it has been copied.
        let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) };
        assert_eq!(set, 0);
    }
}
