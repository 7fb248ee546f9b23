//! All templates.

use super::Call;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{ListTemplatesRequest, ListTemplatesResponse};

pub(super) async fn serve(
    call: Call<ListTemplatesRequest>,
) -> Result<ListTemplatesResponse, Problem> {
    let templates = call.daemon.templates.all();
    Ok(ListTemplatesResponse {
        templates: templates
            .iter()
            .map(|template| template.describe(&call.daemon))
            .collect(),
    })
}
