//! Processes that stay: each tells that it runs, and ends when it is let go, or when nobody is there any
//! more who could let it go.

use super::super::protocol::{Pages, nanos};
use anyhow::{Context as _, ensure};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

/// How long processes may take to tell, all together, without one of them telling.
const PATIENCE: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};

/// What a process that stays is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hold {
    tell: PathBuf,
    go: PathBuf,
    pub(crate) pages: Pages,
    /// The helper's ends, of which a process that is forked from it has copies: while there are any, nobody
    /// sees that the helper is gone.
    ends: Vec<RawFd>,
}

impl Hold {
    /// Writes to as many of these, at random, as it was told to write to pages; how long that took, in
    /// nanoseconds.
    #[must_use]
    pub fn write_to(&self, pieces: &[Box<[AtomicU8]>]) -> u64 {
        let Pages::OneWrittenOf(share) = self.pages else {
            return 0;
        };
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        let writes = bytes / rustix::param::page_size() / share.max(1) as usize;
        let mut random = SmallRng::seed_from_u64(u64::from(std::process::id()));
        let began = Instant::now();
        for _ in 0..writes {
            if let Some(byte) = pieces.choose(&mut random).and_then(|piece| piece.first()) {
                byte.fetch_add(1, Ordering::Relaxed);
            }
        }
        nanos(began)
    }

    /// Tells a number, and waits.
    ///
    /// # Errors
    /// When the pipes can't be opened.
    pub fn stay(&self, told: u64) -> std::io::Result<()> {
        for end in &self.ends {
            nix::unistd::close(*end)?;
        }
        // Where nobody reads any more, or writes, opening does not wait and reading gives the end.
        let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
        let go = rustix::fs::open(&self.go, OFlags::RDONLY | flags, Mode::empty())?;
        rustix::fs::fcntl_setfl(&go, OFlags::empty())?;
        let tell = rustix::fs::open(&self.tell, OFlags::WRONLY | flags, Mode::empty())?;
        rustix::fs::fcntl_setfl(&tell, OFlags::empty())?;
        File::from(tell).write_all(&told.to_ne_bytes())?;
        let _ = File::from(go).read(&mut [0])?;
        Ok(())
    }
}

/// The helper's ends.
pub(super) struct Pipes {
    told: File,
    go: File,
    folder: tempfile::TempDir,
}

impl Pipes {
    pub(super) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("mpfork-bench-").tempdir()?;
        let open = |name: &str| -> anyhow::Result<File> {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU)?;
            // For both, so that opening does not wait and what is read never ends.
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            Ok(rustix::fs::open(&path, flags, Mode::empty())?.into())
        };
        Ok(Self {
            told: open("tell")?,
            go: open("go")?,
            folder,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }

    pub(super) fn hold(&self, pages: Pages) -> Hold {
        Hold {
            tell: self.path("tell"),
            go: self.path("go"),
            pages,
            ends: Vec::new(),
        }
    }

    /// The same for a process that is forked from this one as it is.
    pub(super) fn hold_forked(&self, pages: Pages) -> Hold {
        Hold {
            ends: vec![self.told.as_raw_fd(), self.go.as_raw_fd()],
            ..self.hold(pages)
        }
    }

    /// What one more process tells.
    pub(super) fn next(&mut self) -> anyhow::Result<u64> {
        let ready = poll(
            &mut [PollFd::new(&self.told, PollFlags::IN)],
            Some(&PATIENCE),
        )?;
        ensure!(ready == 1, "a process that should stay never told it runs");
        let mut told = [0; 8];
        self.told.read_exact(&mut told).context("nothing told")?;
        Ok(u64::from_ne_bytes(told))
    }

    /// Has all that stay end.
    pub(super) fn let_go(self) {
        drop(self.go);
    }
}
