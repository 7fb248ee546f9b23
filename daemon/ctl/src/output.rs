//! Standard output and error. A reader that has gone away is no error.

use crate::ending::Ending;
use crate::failed::Failed;
use serde::Serialize;
use std::io::{self, ErrorKind, Write as _};

/// How answers are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints an answer: as JSON where that was asked for, else as text.
    pub(crate) fn answer<T: Serialize>(
        self,
        answer: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<Ending, Failed> {
        if self.json {
            self.json(answer)
        } else {
            print(&text(answer))
        }
    }

    /// Prints text, whatever was asked for.
    pub(crate) fn text(self, text: &str) -> Result<Ending, Failed> {
        print(text)
    }

    /// Prints JSON, whatever was asked for.
    pub(crate) fn json(self, answer: &impl Serialize) -> Result<Ending, Failed> {
        let mut text = serde_json::to_string_pretty(answer)
            .map_err(|error| Failed::data("writing the answer as JSON", error))?;
        text.push('\n');
        print(&text)
    }

    /// Prints one of many: a line of JSON where that was asked for, else of text. False: nobody reads
    /// any more.
    pub(crate) fn record<T: Serialize>(
        self,
        record: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<bool, Failed> {
        if !self.json {
            return write(text(record).as_bytes());
        }
        let mut line = serde_json::to_string(record)
            .map_err(|error| Failed::data("writing the answer as JSON", error))?;
        line.push('\n');
        write(line.as_bytes())
    }

    /// Tells on standard error why something failed.
    pub(crate) fn error(self, failed: &Failed) {
        if self.json {
            print_error(&format!("{}\n", failed.json()));
        } else {
            print_error(&failed.text());
        }
    }

    /// The same of a worker, unless it has told people itself.
    pub(crate) fn ended(self, failed: &Failed) {
        if self.json || !failed.is_told() {
            self.error(failed);
        }
    }

    /// Tells something on standard error that does not change how mpctl ends.
    pub(crate) fn note(self, text: &str) {
        if self.json {
            print_error(&format!("{}\n", serde_json::json!({"note": text})));
        } else {
            print_error(&format!("mpctl: {}\n", crate::render::line(text)));
        }
    }
}

fn print(text: &str) -> Result<Ending, Failed> {
    write(text.as_bytes()).map(|_| Ending::Code(0))
}

/// Writes to standard output, at once; false when nobody reads it any more.
pub(crate) fn write(bytes: &[u8]) -> Result<bool, Failed> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failed::io("writing to standard output", error)),
    }
}

fn print_error(text: &str) {
    // There is nowhere to tell that this failed.
    let _ = io::stderr().write_all(text.as_bytes());
}
