//! A program without standard streams.

use super::common::{LONG, context, file, hold, make};

/// Nothing that is opened for the server gets the number of a closed stream, nor is taken for one.
pub(crate) fn closed() {
    // Opened by the runtime where a program was executed without.
    for number in 0..3 {
        let _ = nix::unistd::close(number);
    }
    let ctx = context();
    let server = ctx.server().unwrap();
    let open = |pid: i32| -> Vec<_> {
        (0..3)
            .map(|number| std::fs::read_link(format!("/proc/{pid}/fd/{number}")).ok())
            .map(|path| Some(path?.file_name()?.to_owned()))
            .collect()
    };
    let zygote = open(server.pid);
    let own = open(std::process::id().cast_signed());
    make("go-on");
    let mut process = ctx.process(hold, "go-on".to_owned()).start().unwrap();
    let exit = process.join(Some(LONG)).unwrap().unwrap().exitcode();
    let told = format!("own {own:?}\nzygote {zygote:?}\nexit {exit}\n");
    std::fs::write(file("told"), told).unwrap();
}
