//! A program under test: its preloads, hooks and functions do what programs do, and what they should
//! not. What goes wrong is chosen by the variable `TEST_FAULT`, which the preloads declare, so that
//! each choice is another template. Started as an ordinary program it is a client: see [`client`].
#![forbid(unsafe_code)]

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod faults;
#[cfg(unix)]
mod functions;
#[cfg(unix)]
mod hooks;
#[cfg(unix)]
mod preloads;
#[cfg(unix)]
mod start_state;

#[cfg(unix)]
use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    // What a well-behaved program never does before the line below.
    faults::before_freeze_support();
    mpfork::freeze_support();
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["code", code] => ExitCode::from(code.parse::<u8>().unwrap_or(255)),
        ["panic"] => panic!("main panics"),
        ["arguments", ..] => {
            println!("{}", args[1..].join("|"));
            ExitCode::SUCCESS
        }
        _ => client::main(&words),
    }
}

/// It needs mpforkd.
#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    mpfork_proto::platform::NotOnThisPlatform {
        program: "test-program",
    }
    .end()
}
