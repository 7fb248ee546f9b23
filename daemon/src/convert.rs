//! Between the wire's types and the standard library's.

pub(crate) use mpfork_driver::duration::{from_wire, to_wire};
use prost_types::Timestamp;
use std::time::SystemTime;

/// A point in time for the wire.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::from(time)
}
