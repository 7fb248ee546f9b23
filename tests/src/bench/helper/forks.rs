//! fork, _exit and waitpid.

use super::super::Program;
use super::super::protocol::{Pages, now_ns};
use super::engine::Maker;
use super::held::Pipes;
use anyhow::bail;
use mpfork_sys::exit::exit_now;
use mpfork_sys::fork::{Forked, fork};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};

/// The fork looks first whether there is one thread: one stat, 1 to 2 µs.
pub(super) struct Forks {
    pub(super) program: Program,
}

fn forked(child: impl FnOnce() -> i32) -> anyhow::Result<i32> {
    match fork() {
        Ok(Forked::Child) => exit_now(child()),
        Ok(Forked::Parent(pid)) => Ok(pid),
        Err(error) => bail!("can't fork: {error}"),
    }
}

impl Maker for Forks {
    type Made = i32;

    fn start(&mut self) -> anyhow::Result<i32> {
        forked(|| 0)
    }

    fn start_held(&mut self, pipes: &Pipes, pages: Pages) -> anyhow::Result<(i32, i32)> {
        let stay = self.program.hold;
        let hold = pipes.hold_forked(pages);
        let pid = forked(|| i32::from(stay(hold).is_err()))?;
        Ok((pid, pid))
    }

    fn wait(&mut self, pid: i32) -> anyhow::Result<()> {
        match waitpid(Pid::from_raw(pid), None)? {
            WaitStatus::Exited(_, 0) => Ok(()),
            other => bail!("a child that does nothing ended so: {other:?}"),
        }
    }

    fn first_instruction(&mut self) -> anyhow::Result<u64> {
        let (mut told, mut tell) = std::io::pipe()?;
        let asked = now_ns();
        let pid = forked(|| {
            let began = now_ns();
            let _ = tell.write_all(&began.to_ne_bytes());
            0
        })?;
        let mut began = [0; 8];
        told.read_exact(&mut began)?;
        self.wait(pid)?;
        Ok(u64::from_ne_bytes(began).saturating_sub(asked))
    }
}
