//! Who makes workers for contexts of start method `forkserver`: a running mpforkd, or a server of the
//! program's own.

use crate::api::Client;
use crate::context::Context;
use crate::default::get_context;
use crate::embedded;
use crate::error::Error;
use crate::method::StartMethod;
use crate::overrides;
use crate::parent;
use crate::runtime::block_on;
use crate::session::Session;
use crate::standard;
use std::path::PathBuf;
use std::sync::{Arc, Once};

/// Which server a context of start method `forkserver` uses:
/// [`Context::with_server`](crate::Context::with_server).
///
/// Python has but one, which is embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ServerChoice {
    /// mpforkd where one is found, else an embedded server. Only that there is no socket, or nobody
    /// behind it, leads to the second: an mpforkd that refuses, drains or speaks another version is an
    /// error.
    #[default]
    Any,
    /// mpforkd, or an error.
    Mpforkd,
    /// An embedded server, whatever runs.
    Embedded,
}

impl ServerChoice {
    /// What the operator says.
    fn of_operator() -> Result<Option<Self>, Error> {
        let Some(value) = overrides::get(overrides::SERVER) else {
            return Ok(None);
        };
        match value.to_str() {
            Some("any") => Ok(Some(Self::Any)),
            Some("mpforkd") => Ok(Some(Self::Mpforkd)),
            Some("embedded") => Ok(Some(Self::Embedded)),
            _ => Err(Error::BadOverride {
                variable: overrides::SERVER,
                value,
                expected: "any, mpforkd or embedded",
            }),
        }
    }
}

/// What makes a context's processes. Python does not tell; its forkserver is embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerKind {
    /// mpforkd.
    Mpforkd,
    /// A private process of this program, which ends with it: by start method `forkserver` a zygote,
    /// which forks workers, by `spawn` a process that executes the program for each.
    Embedded,
    /// The calling process itself, by start method `fork`.
    Caller,
}

/// Which server makes a context's processes, or made one. Python has no such item.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// What it is.
    pub kind: ServerKind,
    /// mpforkd's socket; others have none.
    pub socket: Option<PathBuf>,
    /// Its pid as it sees itself: to show, not to signal.
    pub pid: i32,
    /// Which run of it: a random number.
    pub instance: u64,
    /// Its name and version.
    pub version: String,
    /// Whether descriptors pass between it and this process. Where they do not, as through a relay of
    /// bytes, threads of this process relay a worker's standard streams, inherited input is the null
    /// device, a sentinel is no pidfd, and arguments are limited to some megabytes.
    pub descriptors: bool,
}

pub(crate) const OWN_VERSION: &str = concat!("mpfork ", env!("CARGO_PKG_VERSION"));

impl Server {
    pub(crate) fn mpforkd(client: &Client) -> Self {
        Self {
            kind: ServerKind::Mpforkd,
            socket: Some(client.socket().to_owned()),
            pid: client.daemon_pid(),
            instance: client.instance(),
            version: client.daemon().to_owned(),
            descriptors: client.carries_descriptors(),
        }
    }

    pub(crate) fn embedded(pid: i32, instance: u64) -> Self {
        Self {
            kind: ServerKind::Embedded,
            socket: None,
            pid,
            instance,
            version: OWN_VERSION.to_owned(),
            descriptors: true,
        }
    }

    pub(crate) fn caller() -> Self {
        Self {
            kind: ServerKind::Caller,
            socket: None,
            pid: std::process::id().cast_signed(),
            instance: crate::here::instance(),
            version: OWN_VERSION.to_owned(),
            descriptors: true,
        }
    }
}

/// What a context of start method `forkserver` is to use.
#[derive(Debug)]
pub(crate) enum Found {
    Mpforkd(Arc<Session>),
    Embedded,
    /// Neither can be had, and nobody asked for the method by its name: spawn.
    Nothing,
}

impl Context {
    /// Finds the server for start method `forkserver`.
    pub(crate) async fn find(&self) -> Result<Found, Error> {
        let made_here = parent::server_socket().is_some();
        let choice = match self.server_choice() {
            Some(choice) => choice,
            // What made this worker makes its own too.
            None if made_here => ServerChoice::Mpforkd,
            None => ServerChoice::of_operator()?.unwrap_or_default(),
        };
        // Once it runs it is stayed with.
        if choice == ServerChoice::Embedded
            || (choice == ServerChoice::Any && embedded::is_running())
        {
            return Ok(Found::Embedded);
        }
        match Session::get(self.socket().as_ref()).await {
            Ok(session) => Ok(Found::Mpforkd(session)),
            Err(Error::NoServer(mut none)) if none.tried.iter().all(|attempt| attempt.absent) => {
                if choice == ServerChoice::Any {
                    return Ok(Found::Embedded);
                }
                let by_program = self.server_choice().is_some();
                if self.asked_by_name() || by_program || made_here {
                    none.demand = Some(match (by_program, made_here) {
                        (true, _) => PROGRAM,
                        (false, true) => WORKER,
                        (false, false) => OPERATOR,
                    });
                    return Err(Error::NoServer(none));
                }
                tell_of_spawn();
                Ok(Found::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// An mpforkd that can't fork makes processes by spawn: told, and an error where forkserver was asked
    /// for by its name.
    pub(crate) fn check_spawns(&self, client: &Client) -> Result<(), Error> {
        if !client.spawns() {
            return Ok(());
        }
        if self.asked_by_name() {
            return Err(Error::Unsupported {
                what: format!(
                    "start method forkserver by mpforkd at {}",
                    client.socket().display()
                ),
                why: "it can't fork where it runs, and makes processes by spawn: ask for that, or for the \
                      default start method",
            });
        }
        static TOLD: Once = Once::new();
        warn_once(
            &TOLD,
            "mpforkd can't fork where it runs: processes are started by spawn, and find nothing preloaded",
        );
        Ok(())
    }

    /// Which server makes its processes; connects to it, or launches it, unless that was done before.
    /// Nearest in Python is `multiprocessing.forkserver.ensure_running()`, which tells nothing.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), mpfork::Error> {
    /// # mpfork::freeze_support();
    /// let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
    /// match ctx.server()?.kind {
    ///     mpfork::ServerKind::Mpforkd => println!("shared, and warm when this program begins"),
    ///     _ => println!("this program's own"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoServer`] when mpforkd was asked for and is not there; of an embedded server why it
    /// can't be launched.
    pub fn server(&self) -> Result<Server, Error> {
        // Connecting, and launching, open descriptors.
        let _held = standard::hold();
        block_on(async {
            let method = match self.start_method() {
                StartMethod::Fork => return Ok(Server::caller()),
                StartMethod::Spawn => StartMethod::Spawn,
                StartMethod::ForkServer => match self.find().await? {
                    Found::Mpforkd(session) => return Ok(Server::mpforkd(&session.client)),
                    Found::Embedded => StartMethod::ForkServer,
                    Found::Nothing => StartMethod::Spawn,
                },
            };
            embedded::server(embedded::Kind::of(method)?).await
        })
    }
}

/// Which server makes the processes of the default context:
/// [`Context::server`](crate::Context::server). Like it, this connects to the server or launches it.
///
/// # Errors
/// As [`get_context`](crate::get_context) and [`Context::server`](crate::Context::server).
pub fn server() -> Result<Server, Error> {
    get_context(None)?.server()
}

/// Who demands mpforkd, where it is not there.
const PROGRAM: &str = "this program, by with_socket or ServerChoice::Mpforkd: by ServerChoice::Any it \
                       would use a server of its own instead";
const OPERATOR: &str = "the environment, by MPFORK_SERVER=mpforkd: without it, this program would use a \
                        server of its own instead";

const WORKER: &str = "the mpforkd that made this worker makes the worker's own processes too";

/// Not silently.
fn tell_of_spawn() {
    static TOLD: Once = Once::new();
    warn_once(
        &TOLD,
        "no mpforkd runs, and an embedded server is switched off: processes are started by spawn, and find \
         nothing preloaded",
    );
}

/// Warns by tracing, and where nobody listens to that on standard error.
fn warn_once(told: &Once, what: &str) {
    told.call_once(|| {
        if tracing::dispatcher::has_been_set() {
            tracing::warn!("{what}");
        } else {
            eprintln!("mpfork: {what}");
        }
    });
}
