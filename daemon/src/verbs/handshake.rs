//! Agrees on a version and finds out whether descriptors pass.

use super::Call;
use crate::features::Feature;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{HandshakeRequest, HandshakeResponse};

pub(super) async fn serve(call: Call<HandshakeRequest>) -> Result<HandshakeResponse, Problem> {
    let answer = mpfork_transport::answer_handshake(
        &call.connection,
        &call.message,
        call.daemon.instance,
        crate::NAME_AND_VERSION,
        call.daemon.config().limits.descriptor_credit,
    )?;
    Ok(HandshakeResponse {
        spawns: !call.daemon.features.has(Feature::Fork),
        ..answer
    })
}
