//! `mpctl drain`.

use super::Call;
use crate::cli::DrainArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::render;
use mpfork::Error;
use mpfork::api::{DrainRequest, Draining};
use mpfork_proto::v1::{DrainResponse, DrainState};
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _, Write as _};

pub(crate) fn call(call: &Call, args: &DrainArgs) -> Result<Ending, Failed> {
    if args.undo {
        call.ask("taking starts again", |client| async move {
            client.undo_drain().await
        })?;
        return call.output.answer(&answer(DrainState::Accepting, 0), |_| {
            "starts are taken again\n".to_owned()
        });
    }
    let request = DrainRequest {
        deadline: args.deadline,
        grace: args.grace,
        exit: args.exit,
    };
    let last = call.ask("draining the daemon", |client| async move {
        let last = follow(client.drain(request).await?, args.no_wait).await?;
        if args.exit && last.state() == DrainState::Drained {
            // It hangs up when it has ended.
            client.ended().await;
        }
        Ok(last)
    })?;
    let (state, workers) = (last.state(), last.workers);
    call.output
        .answer(&answer(state, workers), |_| match state {
            DrainState::Drained => "drained: nothing runs any more\n".to_owned(),
            DrainState::Accepting => "the drain was undone: starts are taken again\n".to_owned(),
            DrainState::Draining | DrainState::Unspecified => {
                format!("draining: {}\n", left(workers))
            }
        })
}

/// The last that is told, or the first.
async fn follow(mut draining: Draining, first_only: bool) -> Result<DrainResponse, Error> {
    let mut last = DrainResponse::default();
    let terminal = !first_only && io::stderr().is_terminal();
    while let Some(news) = draining.next().await? {
        last = news;
        if first_only {
            break;
        }
        if terminal {
            let line = render::fit(&format!("draining: {}", left(news.workers)), render::WIDTH);
            let _ = write!(io::stderr(), "\r{line}\x1b[K");
        }
    }
    if terminal {
        let _ = io::stderr().write_all(b"\r\x1b[K");
    }
    Ok(last)
}

fn left(workers: u32) -> String {
    match workers {
        1 => "1 worker is left".to_owned(),
        many => format!("{many} workers are left"),
    }
}

fn answer(state: DrainState, workers: u32) -> Value {
    let state = match state {
        DrainState::Accepting => "accepting",
        DrainState::Draining => "draining",
        DrainState::Drained => "drained",
        DrainState::Unspecified => "unknown",
    };
    json!({"state": state, "workers": workers})
}
