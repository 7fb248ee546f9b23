//! `mpctl`, the command line of mpfork, as a library: [`main_impl`] is all of it.
#![forbid(unsafe_code)]
#![cfg(unix)]

mod cli;
mod ending;
mod failed;
mod output;
mod relay;
mod render;
mod screen;
mod transcode;
mod values;
mod verbs;
mod views;

use clap::{CommandFactory as _, Parser as _};
use cli::{Cli, TemplateVerb, Verb};
use ending::Ending;
use failed::Failed;
use output::Output;
use std::process::ExitCode;
use verbs::Call;

/// The exit status for a wrong command line: `EX_USAGE` of sysexits.h, as for bad requests.
const USAGE: u8 = 64;

/// Everything `main` does.
#[must_use]
pub fn main_impl() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody may be reading.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let output = Output::new(cli.json);
    let ending = match dispatch(cli, output) {
        Ok(ending) => ending,
        Err(failed) => {
            output.error(&failed);
            Ending::Code(failed.exit_code())
        }
    };
    ending.end()
}

/// The command line as it is defined, for what is made from that: manual pages, completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

fn dispatch(cli: Cli, output: Output) -> Result<Ending, Failed> {
    let call = Call {
        socket: cli.socket,
        output,
    };
    match cli.verb {
        Verb::Status => verbs::get_status::call(&call),
        Verb::Top(args) => verbs::top::call(&call, &args),
        Verb::Ps(args) => verbs::list_workers::call(&call, args),
        Verb::Run(args) => verbs::run_worker::call(&call, args),
        Verb::Start(args) => verbs::start_worker::call(&call, args),
        Verb::Wait(args) => verbs::wait_worker::call(&call, &args),
        Verb::Attach(args) => verbs::attach::call(&call, &args),
        Verb::Logs(args) => verbs::read_logs::call(&call, args),
        Verb::Signal(args) => verbs::signal_worker::call(&call, &args),
        Verb::Template(TemplateVerb::List) => verbs::list_templates::call(&call),
        Verb::Template(TemplateVerb::Show(args)) => verbs::get_template::call(&call, &args),
        Verb::Template(TemplateVerb::Warm(args)) => verbs::warm_template::call(&call, &args),
        Verb::Template(TemplateVerb::Reload(args)) => verbs::reload_template::call(&call, &args),
        Verb::Template(TemplateVerb::Remove(args)) => verbs::remove_template::call(&call, &args),
        Verb::Events(args) => verbs::watch_events::call(&call, args),
        Verb::Drain(args) => verbs::drain::call(&call, &args),
        Verb::LogFilter(args) => verbs::set_log_filter::call(&call, args),
        Verb::Shutdown(args) => verbs::shutdown::call(&call, &args),
        Verb::Completions(args) => verbs::completions::call(call.output, &args),
    }
}
