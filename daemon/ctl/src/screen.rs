//! The whole terminal as a page that is drawn over and over, and what it showed before in the end.

use crate::relay::raw;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// To the other screen, and no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Whether the other screen is on.
static ON: AtomicBool = AtomicBool::new(false);

/// The terminal. There is one to a process.
#[derive(Debug)]
pub(crate) struct Screen(());

impl Screen {
    /// Whether standard output is something that can be drawn on.
    pub(crate) fn is_possible() -> bool {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        io::stdout().is_terminal() && !dumb
    }

    /// Takes the terminal over, unless another job has it.
    pub(crate) fn enter() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                leave();
                previous(info);
            }));
        });
        let screen = Self(());
        screen.resume();
        screen
    }

    /// Takes it over again.
    pub(crate) fn resume(&self) {
        if raw::is_background() {
            return;
        }
        raw::enter();
        if !ON.swap(true, Ordering::Relaxed) {
            write(ENTER);
        }
    }

    /// Gives it back for now.
    pub(crate) fn suspend(&self) {
        leave();
    }

    /// Lines and columns.
    pub(crate) fn size() -> (usize, usize) {
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout());
        match size {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
                (size.ws_row.into(), size.ws_col.into())
            }
            _ => (24, 80),
        }
    }

    /// Shows a page. Nothing while another job has the terminal.
    pub(crate) fn draw(&self, page: &[String]) {
        self.resume();
        if !ON.load(Ordering::Relaxed) {
            return;
        }
        let mut text = "\x1b[H".to_owned();
        for (index, line) in page.iter().enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        write(&text);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    if ON.swap(false, Ordering::Relaxed) {
        write(LEAVE);
    }
    raw::leave();
}

fn write(text: &str) {
    // A terminal that hung up ends this process by its signal.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
