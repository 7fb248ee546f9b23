//! `mpctl attach`.

use super::Call;
use crate::cli::AttachArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::relay;

pub(crate) fn call(call: &Call, args: &AttachArgs) -> Result<Ending, Failed> {
    let worker = args.worker;
    let what = format!("attaching to worker {worker}");
    let exit = call.ask(&what, |client| async move {
        relay::exited(&client.attach_relayed(worker).await?).await
    })?;
    Ok(Ending::Code(Ending::of(&exit).code()))
}
