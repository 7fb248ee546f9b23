//! `Attach`: a worker's standard streams over a call.
#![allow(clippy::unwrap_used)]

#[path = "attach/ends.rs"]
mod ends;
#[path = "attach/flow.rs"]
mod flow;
#[path = "attach/refusals.rs"]
mod refusals;
#[path = "attach/results.rs"]
mod results;
#[path = "attach/streams.rs"]
mod streams;

use mpfork_proto::v1::{StartState, Stdio, Stream, WorkerSpec};

/// A worker all of whose streams are attached.
fn attachable(mut spec: WorkerSpec) -> WorkerSpec {
    let attached = i32::from(Stream::Attached);
    let state: &mut StartState = spec.state.get_or_insert_default();
    state.stdio = Some(Stdio {
        stdin: attached,
        stdout: attached,
        stderr: attached,
    });
    spec
}

/// Bytes of every value, none of which repeats soon.
fn binary(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next).flatten().take(count).collect();
    bytes.truncate(count);
    bytes
}
