//! The command line: what can be asked for, explained to somebody who sees it for the first time.

use crate::values;
use crate::verbs::watch_events::Since;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};
use mpfork_proto::v1::WorkerId;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  mpforkd &                                  start the daemon
  mpctl status                               what it does
  mpctl run command -- make -j2              run a command in a worker, as if run directly
  mpctl run --program ./app -- input.txt     run a program's main, preloads already loaded
  mpctl run --program ./app --function count --arg '[\"a.txt\"]'
                                             call a registered function, print its result

The daemon is looked for at --socket, else $MPFORKD_SOCKET, else the user's own places, else
/run/mpforkd/mpforkd.sock.

Exit status: that of the worker for `run` and `wait`; otherwise 0, 64 for a wrong command line, 69
when no daemon is found, 72 when the system refuses something here, as a file that can't be opened, and
one code for each reason a daemon may refuse for.";

/// Talks to mpforkd: runs workers in warm processes, shows and steers them.
#[derive(Debug, Parser)]
#[command(name = "mpctl", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// The daemon's socket, instead of looking for it.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// Print JSON: answers on standard output, errors as {"error": {...}} on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the daemon, its templates and its totals on one page.
    ///
    /// `failed` counts starts that gave no worker; latencies run from the request to the fork, or to the
    /// answer of a worker that was forked ahead. `SAVED` is what running workers save by sharing memory with
    /// what they are forked from, beside the memory each would have to itself if it had been spawned and
    /// had loaded the same; that is read every half a minute, of a few workers of each template.
    #[command(after_help = "Keep it open with: watch -n1 mpctl status")]
    Status,
    /// Show the same over and over on a terminal, with what happens each second.
    #[command(after_help = "Keys: q quits, any other looks at once.")]
    Top(TopArgs),
    /// List workers.
    Ps(PsArgs),
    /// Run a worker and wait for it, as if it were started here.
    #[command(after_help = RUN_HELP, override_usage = RUN_USAGE)]
    Run(RunArgs),
    /// Start a worker that goes on by itself; print its id.
    #[command(after_help = START_HELP, override_usage = START_USAGE)]
    Start(StartArgs),
    /// Wait for a worker's end, tell how it ended, and exit as it did (128+N for signal N).
    Wait(WaitArgs),
    /// Take part in a worker's standard streams, where it was started with attached ones.
    #[command(after_help = ATTACH_HELP)]
    Attach(AttachArgs),
    /// Show what a worker, a template's zygotes, or mpforkd itself have printed.
    #[command(after_help = LOGS_HELP)]
    Logs(LogsArgs),
    /// Send a signal to a worker.
    #[command(after_help = "Example: mpctl signal 5f3a9c-12 TERM --group\n\n\
        Exit status: 0; 1 when the worker had ended already.")]
    Signal(SignalArgs),
    /// Look at and steer templates: the recipes of warm processes.
    #[command(subcommand)]
    Template(TemplateVerb),
    /// Show what happens to templates and workers, as it happens.
    #[command(after_help = EVENTS_HELP)]
    Events(EventsArgs),
    /// Take no more starts, and wait until what runs has ended.
    ///
    /// Starts are refused, and `mpctl status` shows it; everything that only looks works as before.
    Drain(DrainArgs),
    /// Show or change what the daemon logs.
    #[command(after_help = LOG_FILTER_HELP)]
    LogFilter(LogFilterArgs),
    /// End the daemon in order: its workers, its zygotes, itself.
    Shutdown(ShutdownArgs),
    /// Print a script that makes a shell complete this command line.
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
}

const RUN_USAGE: &str = "\
mpctl run [OPTIONS] <TEMPLATE> [-- <ARGS>...]
       mpctl run [OPTIONS] --program <PATH> [-- <ARGS>...]";

const START_USAGE: &str = "\
mpctl start [OPTIONS] <TEMPLATE> [-- <ARGS>...]
       mpctl start [OPTIONS] --program <PATH> [-- <ARGS>...]";

const RUN_HELP: &str = "\
Examples:
  mpctl run command -- sh -c 'echo $PWD'
  mpctl run words -- --verbose input.txt          the program's main, of a configured template
  mpctl run words --function count --arg '{\"path\": \"a.txt\"}'
  mpctl run --program ./app --time-limit 10s -- input.txt

The worker has this process's directory, environment, limits and standard streams. Signals are passed
on to its group. When standard input is a terminal, the worker gets a terminal of its own, and ^C, ^Z
and the window's size do what they do to a program started here.

A function gets the value of --arg; one of several parameters a list of them, one of none null.
Without --arg it gets ARGS as a list of strings, which is empty where there are none: a function
without parameters is called with --arg null.

Behind a relay of bytes such as socat descriptors do not pass: mpctl relays the streams, there is no
terminal, and a worker is not told that nobody reads its output: mpctl ends by SIGPIPE in its place,
and the worker with it, unless --keep was given.

Exit status: the worker's own. Killed by a signal, mpctl ends by the same signal; timed out: 124;
its status lost: 70. When nothing could be run: 127 (no such command), 126 (start state), 78 (a preload
failed), 66 (no such template), 64 (wrong command line), 69 (no daemon).";

const START_HELP: &str = "\
Examples:
  id=$(mpctl start command --output log.txt -- make)
  mpctl wait $id

What the worker writes is kept, the newest of it, for `mpctl logs`; --output appends it to a file
instead. Its input is the null device.";

const ATTACH_HELP: &str = "\
Standard input, output and error of this process become the worker's, until it ends; then mpctl exits
as it did (128+N for signal N). One at a time may be attached. What the worker wrote before comes
first. Its input ends with the first who was attached; when mpctl ends the worker goes on.";

const LOGS_HELP: &str = "\
Examples:
  mpctl logs                     mpforkd's own records
  mpctl logs 5f3a9c-12           what a worker wrote that was given no standard streams
  mpctl logs words --follow      what the zygotes of a template print, and what comes

The newest is kept: 64 KiB of each worker as long as its exit is remembered, unless mpforkd is
configured otherwise, and as much of each template. How much is missing is told on standard error.";

const EVENTS_HELP: &str = "\
Examples:
  mpctl events                                    what happens from now on
  mpctl events --since 0 --no-follow              what has happened, as far as it is remembered
  mpctl events --kind worker --template words --json
  mpctl events --since 5f3a9c-17                  go on after an event seen before

With --json each event is one line. Where events can't be told any more, that is a line, too: `gap`.";

const COMPLETIONS_HELP: &str = "\
Examples:
  mpctl completions bash > ~/.local/share/bash-completion/completions/mpctl
  mpctl completions fish > ~/.config/fish/completions/mpctl.fish";

const LOG_FILTER_HELP: &str = "\
Examples:
  mpctl log-filter                             what is logged now
  mpctl log-filter debug --for 10m             all of mpforkd, for a while
  mpctl log-filter info,mpforkd::zygote=debug
  mpctl log-filter --reset                     as it was started";

/// What to start, and with what.
#[derive(Debug, Args)]
pub(crate) struct StartOptions {
    /// A configured template's name, a registered one's program name (where only one has it) or
    /// digest (its beginning will do), or `command`, the built-in template that executes the command
    /// in ARGS.
    #[arg(required_unless_present = "program")]
    pub(crate) template: Option<String>,

    /// A program that links mpfork, instead of a template: it is registered, and kept warm from
    /// then on.
    #[arg(long, value_name = "PATH", conflicts_with = "template")]
    pub(crate) program: Option<PathBuf>,

    /// Call the function that the program registered under this name, instead of its main.
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,

    /// The function's argument, in JSON.
    #[arg(long, value_name = "JSON", requires = "function", conflicts_with = "args",
          allow_hyphen_values = true, value_parser = values::json)]
    pub(crate) arg: Option<serde_json::Value>,

    /// What lists call the worker.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) name: String,

    /// End the worker after this long: TERM, and after the grace KILL.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) time_limit: Option<Duration>,

    /// How long it may take to end after TERM [default: the daemon's].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) grace: Option<Duration>,

    /// Set a variable in the worker. May be repeated.
    #[arg(long, value_name = "NAME=VALUE",
          value_parser = OsStringValueParser::new().try_map(values::variable))]
    pub(crate) env: Vec<(OsString, OsString)>,

    /// The worker's working directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,

    /// The worker's nice value, -20 to 19.
    #[arg(long, value_name = "N", allow_hyphen_values = true,
          value_parser = clap::value_parser!(i32).range(-20..=19))]
    pub(crate) nice: Option<i32>,

    /// A resource limit such as nofile=1024 or core=0:unlimited; one number sets both. May be
    /// repeated.
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = values::rlimit)]
    pub(crate) rlimit: Vec<mpfork_sys::limits::Rlimit>,

    /// The mask of file permissions, in octal.
    #[arg(long, value_name = "MASK", value_parser = values::umask)]
    pub(crate) umask: Option<u32>,

    /// The command and its arguments, or the arguments of the program's main.
    #[arg(last = true)]
    pub(crate) args: Vec<OsString>,
}

/// `mpctl run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What to start.
    #[command(flatten)]
    pub(crate) start: StartOptions,

    /// Leave the worker running when mpctl is killed. Behind a relay its streams end at mpforkd: its
    /// input is over then, and when its output fills a pipe it waits for `mpctl attach`.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `mpctl start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// What to start.
    #[command(flatten)]
    pub(crate) start: StartOptions,

    /// Append the worker's standard output and error to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `mpctl top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// How often to look.
    #[arg(long, short, value_name = "TIME", default_value = "1s", value_parser = values::interval)]
    pub(crate) interval: Duration,
}

/// `mpctl completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `mpctl ps`.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Also those that have ended and are still remembered.
    #[arg(long, short)]
    pub(crate) all: bool,

    /// Read each running worker's memory: RSS counts all that is resident, PSS divides what is shared among
    /// those that share it, PRIVATE is what ends with the worker. It takes some milliseconds for each gigabyte.
    #[arg(long, short)]
    pub(crate) memory: bool,

    /// Only this template's.
    #[arg(
        long,
        short,
        value_name = "TEMPLATE",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) template: String,
}

/// `mpctl wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// The worker's id, as `mpctl ps` and `mpctl start` print it.
    #[arg(value_name = "ID")]
    pub(crate) worker: WorkerId,

    /// Give up after this long, with exit status 74. The worker goes on.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

/// `mpctl attach`.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The worker's id.
    #[arg(value_name = "ID")]
    pub(crate) worker: WorkerId,
}

/// `mpctl logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// A worker's id, or a template's name or digest; mpforkd itself when absent.
    #[arg(value_name = "WORKER|TEMPLATE")]
    pub(crate) of: Option<String>,

    /// Go on with what comes: to the worker's end, or mpforkd's.
    #[arg(long, short)]
    pub(crate) follow: bool,
}

/// `mpctl signal`.
#[derive(Debug, Args)]
pub(crate) struct SignalArgs {
    /// The worker's id.
    #[arg(value_name = "ID")]
    pub(crate) worker: WorkerId,

    /// The signal: TERM, SIGTERM or 15.
    #[arg(value_parser = values::signal)]
    pub(crate) signal: i32,

    /// To its whole process group.
    #[arg(long, short)]
    pub(crate) group: bool,
}

/// `mpctl template`.
#[derive(Debug, Subcommand)]
pub(crate) enum TemplateVerb {
    /// List all templates, one a line.
    List,
    /// Show everything about one template.
    Show(TemplateArgs),
    /// Make one warm now, so that the next start need not wait.
    Warm(TemplateArgs),
    /// Warm a new zygote, which takes over from the old one when it is ready.
    Reload(TemplateArgs),
    /// Forget a registered template.
    Remove(TemplateArgs),
}

/// One template.
#[derive(Debug, Args)]
pub(crate) struct TemplateArgs {
    /// Its name, its digest, or six or more digits of the digest's beginning. Registered ones of the
    /// same name are told apart by their digests.
    #[arg(value_name = "TEMPLATE")]
    pub(crate) template: String,
}

/// `mpctl events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Begin after this event: its number, or its id, which also tells the run of the daemon.
    #[arg(long, value_name = "EVENT")]
    pub(crate) since: Option<Since>,

    /// End when everything that is remembered was shown.
    #[arg(long)]
    pub(crate) no_follow: bool,

    /// Only this kind, such as worker-exited, template-failed, or template for all of templates. May
    /// be repeated.
    #[arg(long, value_name = "KIND", value_parser = values::event_kinds)]
    pub(crate) kind: Vec<values::Kinds>,

    /// Only this template's.
    #[arg(
        long,
        short,
        value_name = "TEMPLATE",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) template: String,
}

/// `mpctl drain`.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// End workers that still run after this long: TERM, and after the grace KILL.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Option<Duration>,

    /// How long they may take to end after TERM [default: the daemon's].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) grace: Option<Duration>,

    /// End the daemon when nothing runs any more.
    #[arg(long)]
    pub(crate) exit: bool,

    /// Only begin; the daemon goes on by itself.
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// Take starts again instead.
    #[arg(long, conflicts_with_all = ["deadline", "grace", "exit", "no_wait"])]
    pub(crate) undo: bool,
}

/// `mpctl log-filter`.
#[derive(Debug, Args)]
pub(crate) struct LogFilterArgs {
    /// The new filter: a level, or directives such as mpforkd=debug, separated by commas.
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,

    /// How long it holds; the one before does again afterwards.
    #[arg(long = "for", value_name = "TIME", requires = "filter",
          value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// The filter that the daemon was started with.
    #[arg(long, conflicts_with = "filter")]
    pub(crate) reset: bool,
}

/// `mpctl shutdown`.
#[derive(Debug, Args)]
pub(crate) struct ShutdownArgs {
    /// How long workers may take to end after TERM [default: the daemon's].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) grace: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_shows_both_ways_to_say_what_to_start() {
        for verb in ["run", "start"] {
            let error = Cli::try_parse_from(["mpctl", verb, "--help"]).unwrap_err();
            let help = error.to_string();
            for way in [
                "<TEMPLATE> [-- <ARGS>...]",
                "--program <PATH> [-- <ARGS>...]",
            ] {
                let usage = format!("mpctl {verb} [OPTIONS] {way}\n");
                assert!(help.contains(&usage), "{help}");
            }
        }
    }

    #[test]
    fn a_template_or_a_program_but_not_both() {
        let parse = |line: &[&str]| Cli::try_parse_from([&["mpctl", "run"], line].concat());
        assert!(parse(&["words"]).is_ok());
        assert!(parse(&["--program", "./words", "--", "x"]).is_ok());
        assert!(parse(&["words", "--program", "./words"]).is_err());
        assert!(parse(&["--", "x"]).is_err());
        // What follows the template is the worker's only after `--`.
        assert!(parse(&["words", "x"]).is_err());
        assert!(parse(&["words", "--arg", "1"]).is_err());
        assert!(parse(&["words", "--function", "f", "--arg", "{"]).is_err());
    }
}
