//! The program as a client of a daemon.

use mpfork::api::{Client, Task, WorkerRequest, block_on};
use mpfork::{OnOwnerDeath, StartMethod};
use mpfork_sys::fork::{Forked, fork};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

type BoxError = Box<dyn std::error::Error>;

/// Runs what the words ask for.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let done = match words {
        ["status", socket] => status(Path::new(socket)),
        ["connect", socket] => connect(Path::new(socket)),
        ["listen", socket] => listen(Path::new(socket)),
        ["own", socket, what] => own(Path::new(socket), what),
        ["value", socket, ..] => value(Path::new(socket)),
        _ => Err(format!("can't do {words:?}").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let reason = error
                .downcast_ref::<mpfork::Error>()
                .and_then(mpfork::Error::reason);
            println!("refused {reason:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn status(socket: &Path) -> Result<(), BoxError> {
    let client = block_on(Client::connect(Some(socket)))?;
    println!("{}", block_on(client.get_status())?.pid);
    Ok(())
}

/// Connects, and gives the connection away over standard input.
fn connect(socket: &Path) -> Result<(), BoxError> {
    let connected = UnixStream::connect(socket)?;
    let stdin = std::io::stdin();
    mpfork_sys::fdpass::send(stdin.as_fd(), b"x", &[connected.as_fd()])?;
    Ok(())
}

/// Listens until standard input ends.
fn listen(socket: &Path) -> Result<(), BoxError> {
    let _listener = std::os::unix::net::UnixListener::bind(socket)?;
    println!("listening");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// Starts a worker and forks a child that holds the connection too; tells the worker's id and both
/// pids, and waits to be killed.
fn own(socket: &Path, what: &str) -> Result<(), BoxError> {
    let client = block_on(Client::connect(Some(socket)))?;
    let task = Task::Command {
        program: "/bin/sleep".into(),
        args: vec!["600".into()],
        arg0: None,
    };
    let mut request = WorkerRequest::new(mpfork_proto::BUILTIN_TEMPLATE, task);
    request.on_owner_death = match what {
        "keep" => OnOwnerDeath::Keep,
        _ => OnOwnerDeath::End,
    };
    let running = block_on(client.run_worker(&request))?;
    match fork().map_err(|error| format!("{error:?}"))? {
        Forked::Child => super::faults::hang(),
        Forked::Parent(child) => {
            let (worker, pid) = (running.started.worker, running.started.pid);
            println!("{worker} {pid} {child}");
            super::faults::hang()
        }
    }
}

/// Calls a function in a worker of this program's own template.
fn value(socket: &Path) -> Result<(), BoxError> {
    let context = mpfork::get_context(StartMethod::ForkServer)?.with_socket(socket);
    let value: String = context.spawn_registered("value", &())?.join()?;
    println!("{value}");
    Ok(())
}
