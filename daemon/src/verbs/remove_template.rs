//! Forgets a registered template.

use super::Call;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{RemoveTemplateRequest, RemoveTemplateResponse};

pub(super) async fn serve(
    call: Call<RemoveTemplateRequest>,
) -> Result<RemoveTemplateResponse, Problem> {
    call.daemon
        .templates
        .remove(&call.daemon, &call.message.template)?;
    Ok(RemoveTemplateResponse {})
}
