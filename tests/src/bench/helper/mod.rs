//! What makes a contender's processes: a process of its own, this program executed anew. Those that fork
//! have one thread in it, and no more memory than is preloaded.

mod compacted;
mod engine;
mod executed;
mod forks;
mod held;
mod workers;

use super::Program;
use super::protocol::{Answer, Request};
use super::way::Way;
use anyhow::Context as _;
use engine::{Engine, OneByOne};
use mpfork::{ServerChoice, StartMethod, get_context};
use std::io::{BufRead as _, Write as _};
use std::path::Path;

pub use held::Hold;

/// Answers until nobody asks any more.
pub(super) fn serve(way: Way, socket: Option<&Path>, program: Program) -> anyhow::Result<()> {
    raise_open_files()?;
    let mut engine = engine(way, socket, program)?;
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let answer = engine.answer(&request).unwrap_or_else(|error| Answer {
            failed: Some(format!("{error:#}")),
            ..Answer::default()
        });
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &answer)?;
        writeln!(out)?;
    }
    Ok(())
}

fn engine(way: Way, socket: Option<&Path>, program: Program) -> anyhow::Result<Box<dyn Engine>> {
    let forkserver = || get_context(StartMethod::ForkServer);
    let context = match way {
        Way::Mpforkd | Way::MpforkdDefault | Way::MpforkdSpares | Way::MpforkdShared => {
            forkserver()?.with_socket(socket.context("there is no socket")?)
        }
        Way::Embedded => forkserver()?.with_server(ServerChoice::Embedded),
        Way::MpforkSpawn => get_context(StartMethod::Spawn)?,
        Way::MpforkFork => {
            (program.preload)();
            get_context(StartMethod::Fork)?
        }
        Way::PosixSpawn => return Ok(Box::new(OneByOne::new(executed::Commands::new()?))),
        Way::Procspawn => return Ok(Box::new(OneByOne::new(executed::Procspawn { program }))),
        Way::Raw | Way::RawCompacted => {
            (program.preload)();
            if way == Way::RawCompacted {
                compacted::collapse_heap()?;
            }
            return Ok(Box::new(OneByOne::new(forks::Forks { program })));
        }
        Way::CpythonFork
        | Way::CpythonForkserver
        | Way::CpythonForkserverBare
        | Way::CpythonSpawn => anyhow::bail!("{} has a helper in Python", way.name()),
    };
    Ok(Box::new(workers::Workers::new(context)?))
}

/// Each process that stays has a descriptor or two in whoever started it.
fn raise_open_files() -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}
