//! `mpctl template show`.

use super::Call;
use crate::cli::TemplateArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::render;
use crate::views::TemplateView;
use std::time::SystemTime;

pub(crate) fn call(call: &Call, args: &TemplateArgs) -> Result<Ending, Failed> {
    let name = &args.template;
    let what = format!("looking at template {name}");
    let template = call.ask(
        &what,
        |client| async move { client.get_template(name).await },
    )?;
    let view = TemplateView::new(template, SystemTime::now());
    call.output.answer(&view, render::template)
}
