//! Warms a new zygote beside the present one.

use super::Call;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{ReloadTemplateRequest, ReloadTemplateResponse};

pub(super) async fn serve(
    call: Call<ReloadTemplateRequest>,
) -> Result<ReloadTemplateResponse, Problem> {
    let template = call.daemon.templates.get(&call.message.template)?;
    call.daemon.accepting()?;
    template.reload(&call.daemon).await?;
    Ok(ReloadTemplateResponse {
        template: Some(template.describe(&call.daemon)),
    })
}
