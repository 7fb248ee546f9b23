//! Changes what is logged.

use super::Call;
use crate::convert::from_wire;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{SetLogFilterRequest, SetLogFilterResponse};

pub(super) async fn serve(
    call: Call<SetLogFilterRequest>,
) -> Result<SetLogFilterResponse, Problem> {
    let request = call.message;
    let duration = request
        .duration
        .map(|duration| from_wire("duration", duration));
    let log = &call.daemon.log;
    log.set(&request.filter, duration.transpose()?)?;
    Ok(SetLogFilterResponse {
        log_filter: Some(log.describe()),
    })
}
