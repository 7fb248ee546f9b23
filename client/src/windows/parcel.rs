//! Values on their way between processes: their bytes, beside which nothing passes.

use crate::codec::{DecodeError, EncodeError, decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The result of a worker's function.
pub(crate) fn encode_result(value: &impl Serialize) -> Result<Vec<u8>, EncodeError> {
    encode(value)
}

/// The arguments of a worker's function.
pub(crate) fn decode_arguments<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode(bytes)
}
