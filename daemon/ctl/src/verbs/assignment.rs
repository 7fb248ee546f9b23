//! From the options of `run` and `start` to a request.

use crate::cli::StartOptions;
use crate::failed::Failed;
use crate::transcode;
use mpfork::Error;
use mpfork::api::{
    Client, Function, OnOwnerDeath, Program, ResultChannel, Task, TemplateRequest, WorkerRequest,
    describe,
};
use mpfork_proto::BUILTIN_TEMPLATE;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// What is to be run, checked.
#[derive(Debug)]
pub(super) struct Assignment {
    /// For people.
    pub(super) what: String,
    task: Task,
    /// Present when a function's result is wanted.
    result: Option<ResultChannel>,
    options: StartOptions,
}

impl Assignment {
    pub(super) fn new(mut options: StartOptions) -> Result<Self, Failed> {
        let args = std::mem::take(&mut options.args);
        let what = what(&options, &args);
        let mut result = None;
        let task = match &options.function {
            Some(name) => {
                let argument = match options.arg.take() {
                    Some(value) => value,
                    None => texts(&args).map_err(|why| Failed::usage(&what, why))?,
                };
                let argument = transcode::encode(&argument)
                    .map_err(|error| Failed::data("encoding the argument", error))?;
                let (ours, theirs) =
                    ResultChannel::new().map_err(|error| Failed::call(&what, error))?;
                result = Some(ours);
                Task::Function {
                    function: Function::Name(name.clone()),
                    argument,
                    channel: Some(theirs),
                }
            }
            None if options.template.as_deref() == Some(BUILTIN_TEMPLATE) => {
                let mut args = args.into_iter();
                let program = args.next().ok_or_else(|| {
                    let why = "no command given: mpctl run command -- COMMAND ARGUMENTS";
                    Failed::usage(&what, why)
                })?;
                Task::Command {
                    program,
                    args: args.collect(),
                    arg0: None,
                }
            }
            None => Task::Main {
                args,
                arg0: options.program.clone().map(PathBuf::into_os_string),
            },
        };
        Ok(Self {
            what,
            task,
            result,
            options,
        })
    }

    /// The end of the channel over which a function's result comes.
    pub(super) fn take_result(&mut self) -> Option<ResultChannel> {
        self.result.take()
    }

    /// The request, once its program is registered.
    pub(super) async fn request(self, client: &Client, keep: bool) -> Result<WorkerRequest, Error> {
        let options = self.options;
        let template = match (&options.program, options.template) {
            (Some(path), _) => register(client, &Program::at(path)?).await?,
            (None, template) => template.unwrap_or_default(),
        };
        let mut request = WorkerRequest::new(template, self.task);
        request.name = options.name;
        request.time_limit = options.time_limit;
        request.grace = options.grace;
        if keep {
            request.on_owner_death = OnOwnerDeath::Keep;
        }
        let state = &mut request.state;
        for (name, value) in &options.env {
            state.env(name, value);
        }
        if let Some(directory) = &options.cwd {
            state.current_dir(directory);
        }
        if let Some(nice) = options.nice {
            state.nice(nice);
        }
        for limit in &options.rlimit {
            state.rlimit(limit.resource, limit.soft, limit.hard);
        }
        if let Some(mask) = options.umask {
            state.umask(mask);
        }
        Ok(request)
    }
}

/// Makes a program's template known: all its preloads, with this process's values of the variables
/// they declare.
async fn register(client: &Client, program: &Program) -> Result<String, Error> {
    let description = describe(program, &[])?;
    let request = TemplateRequest::new(program.clone()).with_own_env(&description.env);
    Ok(client.register_template(&request).await?.digest)
}

fn what(options: &StartOptions, args: &[OsString]) -> String {
    let place = match (&options.program, &options.template) {
        (Some(program), _) => program.display().to_string(),
        (None, Some(template)) if template == BUILTIN_TEMPLATE && options.function.is_none() => {
            return match args.first() {
                Some(command) => format!("running {}", command.display()),
                None => "running a command".to_owned(),
            };
        }
        (None, template) => format!("template {}", template.as_deref().unwrap_or_default()),
    };
    match &options.function {
        Some(function) => format!("calling {function} in {place}"),
        None => format!("running {place}"),
    }
}

/// Arguments as a function gets them. Its strings are UTF-8.
fn texts(args: &[OsString]) -> Result<Value, String> {
    let text = |arg: &OsString| {
        let text = OsStr::to_str(arg).map(Value::from);
        text.ok_or_else(|| format!("{arg:?} is not UTF-8, and a function's arguments must be"))
    };
    args.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser as _;

    fn assignment(line: &[&str]) -> Result<Assignment, Failed> {
        let line = ["mpctl", "run"].iter().chain(line);
        match Cli::try_parse_from(line).unwrap().verb {
            Verb::Run(args) => Assignment::new(args.start),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_built_in_template_executes_commands() {
        let made = assignment(&["command", "--", "ls", "-l"]).unwrap();
        assert_eq!(made.what, "running ls");
        let Task::Command { program, args, .. } = made.task else {
            panic!("{:?}", made.task);
        };
        assert_eq!((program, args), ("ls".into(), vec!["-l".into()]));
        let failed = assignment(&["command"]).unwrap_err();
        assert_eq!(failed.exit_code(), 64);
    }

    #[test]
    fn other_templates_run_their_main() {
        let made = assignment(&["words", "--", "-v"]).unwrap();
        assert_eq!(made.what, "running template words");
        assert!(matches!(made.task, Task::Main { args, arg0: None } if args == ["-v"]));
        let made = assignment(&["--program", "./words"]).unwrap();
        assert_eq!(made.what, "running ./words");
        assert!(matches!(made.task, Task::Main { arg0: Some(name), .. } if name == "./words"));
    }

    #[test]
    fn functions_get_their_argument() {
        let argument = |line: &[&str]| match assignment(line).unwrap().task {
            Task::Function { argument, .. } => transcode::decode(&argument).unwrap(),
            task => panic!("{task:?}"),
        };
        let json = argument(&["words", "--function", "f", "--arg", "[1, {\"a\": null}]"]);
        assert_eq!(json, serde_json::json!([1, {"a": null}]));
        let json = argument(&["words", "--function", "f", "--", "x", "y"]);
        assert_eq!(json, serde_json::json!(["x", "y"]));
        // Of ARGS there may be none, as of `-- $FILES`: still a list.
        let json = argument(&["words", "--function", "f", "--"]);
        assert_eq!(json, serde_json::json!([]));
        let json = argument(&["words", "--function", "f"]);
        assert_eq!(json, serde_json::json!([]));
        let json = argument(&["words", "--function", "f", "--arg", "null"]);
        assert_eq!(json, serde_json::Value::Null);
        let json = argument(&["words", "--function", "f", "--arg", "-1"]);
        assert_eq!(json, serde_json::json!(-1));
    }
}
