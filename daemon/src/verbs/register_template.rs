//! Makes a template known.

use super::Call;
use crate::template::spec::Spec;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{RegisterTemplateRequest, RegisterTemplateResponse};

pub(super) async fn serve(
    call: Call<RegisterTemplateRequest>,
) -> Result<RegisterTemplateResponse, Problem> {
    let spec = call
        .message
        .spec
        .ok_or_else(|| Problem::bad_request("spec", "none is given"))?;
    let spec = Spec::from_wire(spec, &call.connection, &call.daemon.identities)?;
    call.daemon.accepting()?;
    let (template, created) = call.daemon.templates.register(spec)?;
    Ok(RegisterTemplateResponse {
        digest: template.label.clone(),
        created,
        state: template.wire_state().into(),
    })
}
