//! Ends the daemon in order.

use super::Call;
use crate::convert::from_wire;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{ShutdownRequest, ShutdownResponse};

pub(super) async fn serve(call: Call<ShutdownRequest>) -> Result<ShutdownResponse, Problem> {
    let grace = match call.message.grace {
        Some(grace) => from_wire("grace", grace)?,
        None => call.daemon.config().timeouts.grace,
    };
    tracing::info!(?grace, "asked to end in order");
    crate::shutdown::begin(&call.daemon, grace);
    Ok(ShutdownResponse {})
}
