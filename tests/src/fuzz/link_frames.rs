//! Frames of the link, however the stream is cut.

use mpfork_proto::Message;
use mpfork_proto::frame::{FrameBuffer, HEADER_BYTES, MAX_FRAME_BYTES, encode};
use mpfork_proto::link::{Assignment, SupervisorFrame, WorkerReport, ZygoteFrame};

/// The first byte says how the rest is cut. Whatever is taken for a frame can be written and read
/// once more, and no frame is waited for that is too long.
///
/// # Panics
/// When that is not so.
pub fn link_frames(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else {
        return;
    };
    let cut = usize::from(*cut) + 1;
    frames::<SupervisorFrame>(stream, cut);
    frames::<ZygoteFrame>(stream, cut);
    frames::<WorkerReport>(stream, cut);
    frames::<Assignment>(stream, cut);
}

fn frames<M: Message + Default + PartialEq>(stream: &[u8], cut: usize) {
    let mut buffer = FrameBuffer::default();
    for piece in stream.chunks(cut) {
        buffer.extend(piece);
        loop {
            match buffer.take::<M>() {
                Ok(Some(message)) => again(&message),
                Ok(None) => break,
                // The stream is of no more use.
                Err(_) => return,
            }
        }
        let missing = buffer.missing();
        assert!((1..=HEADER_BYTES + MAX_FRAME_BYTES).contains(&missing));
    }
}

fn again<M: Message + Default + PartialEq>(message: &M) {
    let bytes = encode(message).unwrap();
    let mut buffer = FrameBuffer::default();
    buffer.extend(&bytes);
    let read = buffer.take::<M>().unwrap().unwrap();
    // Compared as written: a number may be none that equals itself.
    assert_eq!(encode(&read).unwrap(), bytes);
    assert!(buffer.is_empty());
}
