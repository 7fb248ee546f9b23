//! `mpctl template remove`.

use super::Call;
use crate::cli::TemplateArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use serde_json::json;

pub(crate) fn call(call: &Call, args: &TemplateArgs) -> Result<Ending, Failed> {
    let name = &args.template;
    let what = format!("removing template {name}");
    call.ask(
        &what,
        |client| async move { client.remove_template(name).await },
    )?;
    let answer = json!({"template": name, "removed": true});
    call.output.answer(&answer, |_| String::new())
}
