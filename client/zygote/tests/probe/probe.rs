//! The program the tests execute as a zygote. What its preloads and hooks do is chosen by the names
//! asked for and by variables.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod functions;
#[cfg(unix)]
mod hooks;
#[cfg(unix)]
mod preloads;
#[cfg(unix)]
mod program;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    program::run()
}

/// Nothing serves or forks here.
#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    mpfork_proto::platform::NotOnThisPlatform {
        program: "zygote-probe",
    }
    .end()
}
