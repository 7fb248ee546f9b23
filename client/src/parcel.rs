//! Values on their way between processes: their bytes, with the descriptors in them.

use crate::codec::{DecodeError, EncodeError, decode, encode};
use crate::passing;
use mpfork_zygote::passed;
use mpfork_zygote::payload::Parcel;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value with the descriptors in it.
pub(crate) fn pack(value: &(impl Serialize + ?Sized)) -> Result<Parcel, EncodeError> {
    let (bytes, descriptors) = passing::writing(|| encode(value))?;
    Ok(Parcel { bytes, descriptors })
}

/// The value of a parcel.
pub(crate) fn unpack<T: DeserializeOwned>(parcel: Parcel) -> Result<T, DecodeError> {
    passing::reading(parcel.descriptors, || decode(&parcel.bytes))
}

/// The result of a worker's function; the descriptors in it will go with it.
pub(crate) fn encode_result(value: &impl Serialize) -> Result<Vec<u8>, EncodeError> {
    let parcel = pack(value)?;
    passed::leave(parcel.descriptors);
    Ok(parcel.bytes)
}

/// The arguments of a worker's function, with the descriptors that came with them.
pub(crate) fn decode_arguments<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    passing::reading(passed::arrived(), || decode(bytes))
}
