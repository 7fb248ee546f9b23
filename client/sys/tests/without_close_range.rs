//! Closing what is not kept where the system refuses to close a range: also when no number is free, which
//! listing them takes. A program of its own, for it loses its descriptors.

#[cfg(target_os = "linux")]
mod filter;

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
        super::filter::refuse(libc::SYS_close_range);
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
}
