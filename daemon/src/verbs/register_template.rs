//! Makes a template known.

use super::Call;
use crate::template::spec::Spec;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{RegisterTemplateRequest, RegisterTemplateResponse};
use std::sync::Arc;

pub(super) async fn serve(
    call: Call<RegisterTemplateRequest>,
) -> Result<RegisterTemplateResponse, Problem> {
    let spec = call
        .message
        .spec
        .ok_or_else(|| Problem::bad_request("spec", "none is given"))?;
    let (connection, daemon) = (call.connection.clone(), Arc::clone(&call.daemon));
    // A program without a build id is read whole: not on the thread that serves everybody.
    let read =
        tokio::task::spawn_blocking(move || Spec::from_wire(spec, &connection, &daemon.identities));
    let spec = read.await.map_err(|error| {
        Problem::new(Reason::Internal, "reading the program was interrupted").with("detail", error)
    })??;
    call.daemon.accepting()?;
    let (template, created) = call.daemon.templates.register(&call.daemon, spec)?;
    Ok(RegisterTemplateResponse {
        digest: template.label.clone(),
        created,
        state: template.wire_state().into(),
    })
}
