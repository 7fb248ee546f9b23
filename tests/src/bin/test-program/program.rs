//! What the program does.

mod client;
mod faults;
mod functions;
mod hooks;
mod preloads;
mod start_state;

use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
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
