//! `mpctl logs`.

use super::Call;
use crate::cli::LogsArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::output::{Output, write};
use mpfork::api::{Client, LogSource, Logs};
use mpfork::{Error, Reason, WorkerId};
use mpfork_proto::v1::read_logs_request::Records;
use serde_json::json;

pub(crate) fn call(call: &Call, args: LogsArgs) -> Result<Ending, Failed> {
    let LogsArgs { of, follow } = args;
    let what = match &of {
        Some(of) => format!("reading the logs of {of}"),
        None => "reading mpforkd's records".to_owned(),
    };
    let output = call.output;
    let shown = call.ask(&what, |client| async move {
        let logs = open(&client, of, follow).await?;
        show(logs, output, follow).await
    })?;
    shown.map(|()| Ending::Code(0))
}

async fn open(client: &Client, of: Option<String>, follow: bool) -> Result<Logs, Error> {
    let Some(of) = of else {
        let records = LogSource::Records(Records {});
        return client.read_logs(records, follow).await;
    };
    let template = LogSource::Template(of.clone());
    let Ok(worker) = of.parse::<WorkerId>() else {
        return client.read_logs(template, follow).await;
    };
    match client.read_logs(LogSource::Worker(worker), follow).await {
        // A template's name may look like a worker's id.
        Err(error) if error.reason() == Some(Reason::UnknownWorker) => {
            let logs = client.read_logs(template, follow).await;
            logs.map_err(|_| error)
        }
        logs => logs,
    }
}

/// Prints what comes as it is; in JSON all at once, or a line for each part when it is followed.
async fn show(mut logs: Logs, output: Output, follow: bool) -> Result<Result<(), Failed>, Error> {
    let mut text = Text::default();
    let (mut dropped, mut all) = (0, String::new());
    while let Some(part) = logs.next().await? {
        let printed = if output.is_json() {
            let new = text.add(&part.data);
            if follow {
                let line = json!({"dropped": part.dropped, "text": new});
                write(format!("{line}\n").as_bytes())
            } else {
                dropped += part.dropped;
                all.push_str(&new);
                Ok(true)
            }
        } else {
            if part.dropped > 0 {
                output.note(&format!("{} bytes before this are not kept", part.dropped));
            }
            write(&part.data)
        };
        match printed {
            Ok(true) => {}
            // Nobody reads any more.
            Ok(false) => return Ok(Ok(())),
            Err(failed) => return Ok(Err(failed)),
        }
    }
    if output.is_json() && !follow {
        all.push_str(&text.rest());
        return Ok(output
            .json(&json!({"dropped": dropped, "text": all}))
            .map(drop));
    }
    Ok(Ok(()))
}

/// Text from bytes that may be cut within a character.
#[derive(Debug, Default)]
struct Text {
    cut: Vec<u8>,
}

impl Text {
    /// The text so far, without the beginning of a character whose end is to come.
    fn add(&mut self, bytes: &[u8]) -> String {
        self.cut.extend(bytes);
        let whole = match std::str::from_utf8(&self.cut) {
            Ok(_) => self.cut.len(),
            Err(_) => whole(&self.cut),
        };
        let rest = self.cut.split_off(whole);
        let text = String::from_utf8_lossy(&self.cut).into_owned();
        self.cut = rest;
        text
    }

    /// What is left at the end.
    fn rest(&self) -> String {
        String::from_utf8_lossy(&self.cut).into_owned()
    }
}

/// How many bytes come before a character that is cut off at the end.
fn whole(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    (from..bytes.len())
        .find(|at| {
            let tail = std::str::from_utf8(&bytes[*at..]);
            // It could become a character.
            tail.is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_are_cut_come_whole() {
        let written = "aé€😀z".repeat(3);
        for size in 1..9 {
            let mut text = Text::default();
            let parts = written.as_bytes().chunks(size);
            let read: String = parts.map(|part| text.add(part)).collect();
            assert_eq!(read + &text.rest(), written, "{size}");
        }
        let mut text = Text::default();
        assert_eq!(text.add(b"a\xff\xc3"), "a\u{fffd}");
        assert_eq!(text.rest(), "\u{fffd}");
    }
}
