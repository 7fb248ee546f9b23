//! `mpctl log-filter`.

use super::Call;
use crate::cli::LogFilterArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::render;
use crate::views::LogFilterView;

pub(crate) fn call(call: &Call, args: LogFilterArgs) -> Result<Ending, Failed> {
    let filter = if args.reset {
        Some(String::new())
    } else {
        args.filter
    };
    let what = match &filter {
        Some(_) => "changing the log filter",
        None => "asking for the log filter",
    };
    let filter = call.ask(what, |client| async move {
        match filter {
            Some(filter) => client.set_log_filter(&filter, args.duration).await,
            None => Ok(client.get_status().await?.log_filter.unwrap_or_default()),
        }
    })?;
    let view = LogFilterView::new(filter);
    call.output.answer(&view, |view| {
        let mut text = render::line(&view.filter);
        if let (Some(left), Some(afterwards)) = (view.left_seconds, &view.afterwards) {
            let (left, afterwards) = (render::duration(left), render::line(afterwards));
            text.push_str(&format!("   for {left}, then {afterwards}"));
        }
        text.push('\n');
        text
    })
}
