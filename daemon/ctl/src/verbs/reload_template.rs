//! `mpctl template reload`.

use super::Call;
use crate::cli::TemplateArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::verbs::warm_template::warm;
use crate::views::TemplateView;
use std::time::SystemTime;

pub(crate) fn call(call: &Call, args: &TemplateArgs) -> Result<Ending, Failed> {
    let name = &args.template;
    let what = format!("reloading template {name}");
    let template = call.ask(
        &what,
        |client| async move { client.reload_template(name).await },
    )?;
    let view = TemplateView::new(template, SystemTime::now());
    call.output.answer(&view, warm)
}
