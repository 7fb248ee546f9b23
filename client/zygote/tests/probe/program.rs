//! What the program does when it is no zygote, or a worker that goes on with `main`.

mod functions;
mod hooks;
mod memory;
mod preloads;

use mpfork_zygote::Role;
use std::io::Write as _;
use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    if std::env::var_os("PROBE_EARLY_THREAD").is_some() {
        let thread = std::thread::Builder::new().name("too-early".to_owned());
        let started = thread.spawn(|| std::thread::sleep(std::time::Duration::from_secs(600)));
        drop(started);
    }
    assert!(!mpfork_zygote::was_called());
    if std::env::var_os("PROBE_EARLY_FILE").is_some() {
        let opened = std::fs::File::options().write(true).open("/dev/null");
        let _ = functions::EARLY.set(opened.ok());
    }
    if std::env::var_os("PROBE_COMMANDS_ONLY").is_some() {
        // As mpforkd does.
        let served = mpfork_zygote::serve_if_asked();
        eprintln!("not a zygote: {served:?}");
    }
    let role = match mpfork_zygote::freeze_support() {
        Ok(role) => role,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(3);
        }
    };
    assert!(mpfork_zygote::was_called());
    let args: Vec<String> = mpfork_zygote::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if role == Role::WorkerMain {
        return main_in_worker(&args);
    }
    assert!(mpfork_zygote::current().is_none());
    match args.as_slice() {
        ["offset"] => println!("{}", functions::offset()),
        ["lazy"] => preloads::use_lazily(),
        ["environment"] => {
            let variable = std::env::var_os;
            println!(
                "{:?} {:?}",
                variable("MPFORK_LINK"),
                variable("MPFORK_WORKER")
            );
        }
        ["supervise"] => hooks::supervise(),
        other => eprintln!("no such thing: {other:?}"),
    }
    ExitCode::SUCCESS
}

fn main_in_worker(args: &[&str]) -> ExitCode {
    // The role stays.
    assert_eq!(mpfork_zygote::freeze_support(), Ok(Role::WorkerMain));
    let name = mpfork_zygote::current().map_or("none", |current| current.name.as_str());
    print!("{name} runs main with {args:?}");
    match args {
        ["panic"] => panic!("main panics"),
        ["code", code] => ExitCode::from(code.parse::<u8>().unwrap_or(99)),
        ["standard", ..] => {
            let own: Vec<String> = std::env::args().collect();
            let title = std::fs::read("/proc/self/cmdline").unwrap_or_default();
            let title = String::from_utf8_lossy(&title).replace('\0', "|");
            let last = own.last().map_or("", String::as_str);
            let name = own.first().map_or("", String::as_str);
            println!(
                ": {name} and {}, the last {last:?} of {title}",
                own.len() - 1
            );
            ExitCode::SUCCESS
        }
        _ => {
            let _ = std::io::stdout().flush();
            ExitCode::SUCCESS
        }
    }
}
