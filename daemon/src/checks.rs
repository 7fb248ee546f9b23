//! The checks at the edge, for whoever tries them with any bytes.

use crate::template::identity::Identities;
use crate::template::spec::Spec;
use crate::worker::request::StartRequest;
use mpfork_proto::Message as _;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{TemplateSpec, WorkerSpec};
use mpfork_transport::Connection;

/// What is made of a start's bytes, be it one by `Attach` or not; `None` when they are no message.
pub fn start(
    bytes: &[u8],
    attaching: bool,
    connection: &Connection,
) -> Option<Result<(), Problem>> {
    let spec = WorkerSpec::decode(bytes).ok()?;
    Some(StartRequest::parse(spec, connection, attaching).map(drop))
}

/// What is made of a recipe's bytes; `None` when they are no message.
pub fn recipe(bytes: &[u8], connection: &Connection) -> Option<Result<(), Problem>> {
    let spec = TemplateSpec::decode(bytes).ok()?;
    Some(Spec::from_wire(spec, connection, &Identities::default()).map(drop))
}
