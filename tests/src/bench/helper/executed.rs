//! Processes that execute a program: posix_spawn by the standard library, and the crate procspawn.

use super::super::Program;
use super::super::protocol::{Pages, now_ns};
use super::engine::Maker;
use super::held::Pipes;
use anyhow::{Context as _, bail, ensure};
use std::process::{Child, Command};

/// [`Command`] of `true`: the standard library uses `posix_spawn` for a command as plain as this.
pub(super) struct Commands(&'static str);

impl Commands {
    pub(super) fn new() -> anyhow::Result<Self> {
        let path = ["/bin/true", "/usr/bin/true"]
            .into_iter()
            .find(|path| std::fs::exists(path).unwrap_or(false));
        Ok(Self(path.context("there is no program /bin/true")?))
    }
}

impl Maker for Commands {
    type Made = Child;

    fn start(&mut self) -> anyhow::Result<Child> {
        Ok(Command::new(self.0).spawn()?)
    }

    fn start_held(&mut self, _: &Pipes, _: Pages) -> anyhow::Result<(i32, Child)> {
        bail!("{} does not stay", self.0)
    }

    fn wait(&mut self, mut child: Child) -> anyhow::Result<()> {
        let status = child.wait()?;
        ensure!(status.success(), "{}: {status}", self.0);
        Ok(())
    }

    fn first_instruction(&mut self) -> anyhow::Result<u64> {
        bail!("{} does not tell the time", self.0)
    }
}

/// Functions by procspawn.
pub(super) struct Procspawn {
    pub(super) program: Program,
}

impl Maker for Procspawn {
    type Made = procspawn::JoinHandle<Result<(), String>>;

    fn start(&mut self) -> anyhow::Result<Self::Made> {
        Ok(procspawn::spawn((), |()| Ok(())))
    }

    fn start_held(&mut self, pipes: &Pipes, pages: Pages) -> anyhow::Result<(i32, Self::Made)> {
        let made = procspawn::spawn(pipes.hold(pages), self.program.hold);
        let pid = made.pid().context("procspawn tells no pid")?;
        Ok((i32::try_from(pid)?, made))
    }

    /// It waits for the process, too.
    fn wait(&mut self, made: Self::Made) -> anyhow::Result<()> {
        made.join()?.map_err(anyhow::Error::msg)
    }

    fn first_instruction(&mut self) -> anyhow::Result<u64> {
        let asked = now_ns();
        let began = procspawn::spawn((), |()| now_ns()).join()?;
        Ok(began.saturating_sub(asked))
    }
}
