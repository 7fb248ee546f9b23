//! One template.

use super::Call;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{GetTemplateRequest, GetTemplateResponse};

pub(super) async fn serve(call: Call<GetTemplateRequest>) -> Result<GetTemplateResponse, Problem> {
    let template = call.daemon.templates.get(&call.message.template)?;
    Ok(GetTemplateResponse {
        template: Some(template.describe(&call.daemon)),
    })
}
