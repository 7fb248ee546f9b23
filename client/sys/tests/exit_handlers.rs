//! A forked child's end: handlers registered before the fork do not run in it, those registered after
//! do, its code stays, and C's buffers are written once; so too where the place of its handler was reserved
//! before the fork. A program of its own, for it forks and must have one thread.

use mpfork_sys::exit::{exit_now, flush_c_stdio, on_exit, reserve};
use mpfork_sys::fork::{Forked, fork};
use std::process::{Command, ExitCode};

unsafe extern "C" {
    fn puts(text: *const libc::c_char) -> libc::c_int;
}

/// Into C's buffer, which is not written by itself as long as standard output is a pipe.
fn print(text: &std::ffi::CStr) {
    // SAFETY: the text is null-terminated.
    unsafe { puts(text.as_ptr()) };
}

extern "C" fn of_the_parent() {
    print(c"handler of the parent");
}

extern "C" fn of_the_child() {
    print(c"handler of the child");
}

fn at_exit(function: extern "C" fn()) {
    // SAFETY: the function is static.
    unsafe { libc::atexit(function) };
}

#[allow(clippy::exit)]
fn forks(reserved: bool) -> ExitCode {
    at_exit(of_the_parent);
    let place = if reserved { reserve() } else { None };
    if reserved != place.is_some() {
        eprintln!("the C library reserves no place");
        return ExitCode::FAILURE;
    }
    print(c"before the fork");
    flush_c_stdio();
    match fork() {
        Ok(Forked::Child) => {
            let handler = |code| {
                print(c"instead of the parent's");
                flush_c_stdio();
                exit_now(code);
            };
            match place {
                Some(place) => place.take(handler),
                None => drop(on_exit(handler)),
            }
            at_exit(of_the_child);
            print(c"in the child");
            std::process::exit(7)
        }
        Ok(Forked::Parent(child)) => loop {
            match mpfork_sys::wait::reap(child) {
                Ok(Some(reaped)) => {
                    println!("status {}", reaped.status);
                    return ExitCode::SUCCESS;
                }
                Ok(None) => std::thread::sleep(std::time::Duration::from_millis(1)),
                Err(error) => {
                    eprintln!("{error}");
                    return ExitCode::FAILURE;
                }
            }
        },
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    if let Some(reserved) = std::env::var_os("MPFORK_SYS_FORKS") {
        return forks(reserved == "reserved");
    }
    // As the test harness answers it.
    if std::env::args().any(|arg| arg == "--list") {
        println!("exit_handlers: test");
        return ExitCode::SUCCESS;
    }
    let program = std::env::current_exe().expect("this program has a path");
    // Elsewhere the C library offers neither.
    let ways: &[&str] = match cfg!(all(target_os = "linux", target_env = "gnu")) {
        true => &["registered", "reserved"],
        false => &[],
    };
    for way in ways {
        let output = Command::new(&program)
            .env("MPFORK_SYS_FORKS", way)
            .output()
            .expect("this program runs again");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "before the fork\n\
             in the child\n\
             handler of the child\n\
             instead of the parent's\n\
             status 1792\n\
             handler of the parent\n",
            "{way}: {output:?}"
        );
    }
    ExitCode::SUCCESS
}
