//! `mpctl start`.

use super::Call;
use super::assignment::Assignment;
use crate::cli::StartArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::views::way_name;
use mpfork::Error;
use serde_json::json;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

pub(crate) fn call(call: &Call, args: StartArgs) -> Result<Ending, Failed> {
    let assignment = Assignment::new(args.start)?;
    let streams = streams(args.output.as_deref())?;
    let what = assignment.what.clone();
    let started = call.ask(&what, |client| async move {
        let mut request = assignment.request(&client, false).await?;
        match streams {
            Some(streams) => {
                for (number, stream) in (0u32..).zip(streams) {
                    request.state.pass_fd(stream, number);
                }
            }
            None => {
                request.state.no_fd(0).keep_output(1).keep_output(2);
            }
        }
        let started = client.start_worker(&request, true).await?;
        Ok::<_, Error>((started, request.template))
    })?;
    let (started, template) = started;
    let worker = started.worker.to_string();
    let way = way_name(started.way);
    let answer = json!({"worker": worker, "pid": started.pid, "template": template, "way": way});
    call.output.answer(&answer, |_| format!("{worker}\n"))
}

/// Standard streams of a worker that outlives this process, where it is to write to a file: they must
/// not keep a terminal or a pipe of this process open.
fn streams(output: Option<&Path>) -> Result<Option<[OwnedFd; 3]>, Failed> {
    let null = Path::new("/dev/null");
    let Some(path) = output else {
        return Ok(None);
    };
    let failed = |path: &Path| {
        let what = format!("opening {}", path.display());
        move |error| Failed::io(what, error)
    };
    let input = File::open(null).map_err(failed(null))?;
    let output = File::options().append(true).create(true).open(path);
    let output = output.map_err(failed(path))?;
    let error = output.try_clone().map_err(failed(path))?;
    Ok(Some([input.into(), output.into(), error.into()]))
}
