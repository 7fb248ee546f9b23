//! How messages become bytes on a connection.

use prost::Message;
use std::marker::PhantomData;
use tonic::codec::BufferSettings;
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Most messages are smaller than these, and each call has a buffer for each direction. Memory of such
/// sizes is at hand, where that of the stock 8 KiB must be searched and put together again: that took some
/// tenth of a call. What is sent has its size known, and the buffer stays as long as the call, which for a
/// worker may be long.
const RECEIVED_BYTES: usize = 1 << 10;
const SENT_BYTES: usize = 1 << 7;
/// How much is put together before it is passed on.
const TOGETHER_BYTES: usize = 32 << 10;

/// Protobuf, with buffers for small messages.
#[derive(Debug, Clone)]
pub(crate) struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

fn buffers(bytes: usize) -> BufferSettings {
    BufferSettings::new(bytes, TOGETHER_BYTES)
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(buffers(SENT_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(buffers(RECEIVED_BYTES))
    }
}
