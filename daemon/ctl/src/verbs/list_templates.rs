//! `mpctl template list`.

use super::Call;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::render;
use crate::views::TemplateView;
use std::time::SystemTime;

pub(crate) fn call(call: &Call) -> Result<Ending, Failed> {
    let templates = call.ask("listing templates", async |client| {
        client.list_templates().await
    })?;
    let now = SystemTime::now();
    let views: Vec<_> = templates
        .into_iter()
        .map(|template| TemplateView::new(template, now))
        .collect();
    call.output.answer(&views, |views| render::templates(views))
}
