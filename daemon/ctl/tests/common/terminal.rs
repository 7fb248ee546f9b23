//! A terminal with somebody in front of it.

use super::LIMIT;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

pub struct Terminal {
    master: OwnedFd,
    /// Keeps the modes when nobody else has it open.
    slave: OwnedFd,
    child: Option<Child>,
    screen: Vec<u8>,
    /// What has been looked at.
    seen: usize,
    before: String,
}

impl Terminal {
    /// Runs a command as the leader of a session with a terminal of its own.
    pub fn run(command: &Command) -> Self {
        Self::sized(command, 24, 80, |_| {})
    }

    /// The same with a size, and with a change of the command in the end.
    pub fn sized(
        command: &Command,
        rows: u16,
        columns: u16,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(path.as_c_str(), flags, Mode::empty()).unwrap();
        tcsetwinsize(&master, winsize(rows, columns)).unwrap();
        let before = modes(&master);
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        // Whoever sits there has no signals ignored, as the tests may have from who runs them.
        let mut session = Command::new("env");
        session
            .args(["--default-signal", "setsid", "--ctty"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session
            .env("TERM", "xterm")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio());
        change(&mut session);
        let child = session.spawn().unwrap();
        drop(session);
        Self {
            master,
            slave,
            child: Some(child),
            screen: Vec::new(),
            seen: 0,
            before,
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().unwrap().id()).unwrap()
    }

    pub fn types(&self, text: &str) {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            let count = rustix::io::write(&self.master, bytes).unwrap();
            bytes = &bytes[count..];
        }
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, winsize(rows, columns)).unwrap();
    }

    /// Reads until this text comes, after what was read until before; returns what came up to its
    /// end.
    pub fn read_until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let new = &self.screen[self.seen..];
            if let Some(at) = find(new, text.as_bytes()) {
                let end = self.seen + at + text.len();
                let came = String::from_utf8_lossy(&self.screen[self.seen..end]).into_owned();
                self.seen = end;
                return came;
            }
            assert!(
                Instant::now() < deadline,
                "{text:?} did not come, but {:?}",
                String::from_utf8_lossy(new)
            );
            self.read(100);
        }
    }

    /// Reads for at most so many milliseconds.
    fn read(&mut self, millis: i64) -> bool {
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: millis * 1_000_000,
        };
        let mut waited = [PollFd::new(&self.master, PollFlags::IN)];
        let ready = rustix::io::retry_on_intr(|| poll(&mut waited, Some(&limit))).unwrap();
        if ready == 0 {
            return false;
        }
        let mut buffer = [0; 4096];
        let count = rustix::io::read(&self.master, &mut buffer).unwrap();
        self.screen.extend(&buffer[..count]);
        true
    }

    /// Whether the terminal is as a raw program has it.
    pub fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    pub fn modes_are_restored(&self) -> bool {
        modes(&self.slave) == self.before
    }

    /// Waits for the session leader's end, reading on; returns the rest of the screen.
    pub fn end(mut self) -> (ExitStatus, String) {
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!(
                    "no end; on the screen: {:?}",
                    String::from_utf8_lossy(&self.screen)
                );
            }
            self.read(10);
        };
        while self.read(0) {}
        assert!(self.modes_are_restored(), "the modes were not restored");
        (
            status,
            String::from_utf8_lossy(&self.screen[self.seen..]).into_owned(),
        )
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            eprintln!("on the screen: {:?}", String::from_utf8_lossy(&self.screen));
        }
    }
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn modes(terminal: &OwnedFd) -> String {
    format!("{:?}", tcgetattr(terminal).unwrap())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
