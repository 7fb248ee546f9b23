//! `mpctl run`.

use super::Call;
use super::assignment::Assignment;
use crate::cli::RunArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::relay::{self, Pty};
use crate::transcode;
use crate::views::ExitView;
use mpfork::Exit;
use mpfork::api::ResultChannel;

pub(crate) fn call(call: &Call, args: RunArgs) -> Result<Ending, Failed> {
    let mut assignment = Assignment::new(args.start)?;
    let result = assignment.take_result();
    let what = assignment.what.clone();
    let pty = Pty::in_place_of_stdin().map_err(|error| Failed::io("making a terminal", error))?;
    let output = call.output;
    let exit = call.ask(&what, |client| async move {
        let mut request = assignment.request(&client, args.keep).await?;
        if !client.carries_descriptors() {
            output.note(
                "descriptors do not pass to mpforkd, as through a relay: standard streams are \
                 relayed, and the worker has no terminal",
            );
            request.state.own_streams();
            return relay::run(&client, request, None).await;
        }
        if let Some(pty) = &pty {
            pty.give(&mut request.state)?;
        }
        relay::run(&client, request, pty).await
    })?;
    finish(call, what, &exit, result.as_ref())
}

/// Tells what is worth telling, prints a function's result, ends as the worker did.
fn finish(
    call: &Call,
    what: String,
    exit: &Exit,
    result: Option<&ResultChannel>,
) -> Result<Ending, Failed> {
    let view = ExitView::new(exit.as_proto());
    for part in &view.not_applied {
        call.output
            .note(&format!("the worker went without: {part}"));
    }
    // What ends a worker by a signal has mostly been sent to its whole group, which takes a moment.
    if !view.leftovers.is_empty() && view.signal.is_none() {
        let names = view.leftovers.iter().map(|process| match process.pid {
            // Where the kernel can't tell which they were.
            0 => "some".to_owned(),
            pid => format!("{} ({pid})", process.comm),
        });
        let names = names.collect::<Vec<_>>().join(", ");
        let text = format!("processes of its group outlived the worker, and were killed: {names}");
        call.output.note(&text);
    }
    let ending = Ending::of(exit);
    if matches!(view.outcome, "timed_out" | "lost") || view.failure.is_some() {
        let failed = Failed::worker(what, view, ending.code());
        call.output.ended(&failed);
        return Ok(ending);
    }
    if let Some(channel) = result
        && exit.success()
    {
        let bytes = channel.result();
        let bytes = bytes.map_err(|error| Failed::call("reading the result", error))?;
        // A function whose return value is its exit code has no other.
        if let Some(bytes) = bytes {
            let value = transcode::decode(&bytes)
                .map_err(|error| Failed::data("decoding the result", error))?;
            return call.output.json(&value);
        }
    }
    Ok(ending)
}
