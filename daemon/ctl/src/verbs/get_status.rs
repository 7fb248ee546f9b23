//! `mpctl status`.

use super::Call;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::render;
use crate::views::StatusView;
use std::time::SystemTime;

pub(crate) fn call(call: &Call) -> Result<Ending, Failed> {
    let status = call.ask("asking for the status", async |client| {
        client.get_status().await
    })?;
    let view = StatusView::new(status, SystemTime::now());
    call.output.answer(&view, render::status)
}
