//! What a spare does while it waits for its assignment: it goes through the motions of a start, so that
//! the pages and the code that one needs are the process's own when it comes.
//!
//! A page that fork shared is copied when it is first written, and code is mapped when it is first run:
//! each costs about a microsecond, and there are some twenty of them.

use super::flush;
use mpfork_proto::environment;
use mpfork_proto::frame::{self, FrameBuffer};
use mpfork_proto::link::{AssignedState, AssignedTask, Assignment, assigned_task};
use mpfork_proto::v1::env_directive::Step;
use mpfork_proto::v1::{EnvDirective, Rlimit};
use std::sync::OnceLock;

/// An assignment as it might come, encoded by the zygote.
static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();

/// In the zygote, before it forks: what is worked out once in a process is worked out there.
pub(super) fn prepare() {
    // It is small: it can be encoded.
    let _ = SAMPLE.set(frame::encode(&sample()).unwrap_or_default());
    rehearse();
}

/// Goes through the motions.
pub(super) fn rehearse() {
    let mut frames = FrameBuffer::default();
    frames.extend(SAMPLE.get().map_or(&[], Vec::as_slice));
    if let Ok(Some(Assignment {
        state: Some(state), ..
    })) = frames.take::<Assignment>()
    {
        // The whole environment, as most have it; nothing is applied. Other forms would choose the keys
        // of hash tables, which each worker must choose for itself.
        for directive in &state.env {
            if let Some(Step::Replace(block)) = &directive.step {
                std::hint::black_box(environment::entries(block).count());
            }
        }
    }
    // Whatever was buffered was written out before the zygote was ready.
    flush();
}

fn sample() -> Assignment {
    let mut environment = Vec::new();
    for number in 0..32 {
        let name = format!("VARIABLE_{number}");
        environment::push(
            &mut environment,
            name.as_bytes(),
            b"a/value/of/the/usual/length",
        );
    }
    Assignment {
        task: Some(AssignedTask {
            task: Some(assigned_task::Task::Function(assigned_task::Function {
                target: Some(assigned_task::function::Target::Offset(0)),
                argument: vec![0; 64],
                channel: Some(0),
            })),
        }),
        state: Some(AssignedState {
            cwd: Some(0),
            env: vec![EnvDirective {
                step: Some(Step::Replace(environment)),
            }],
            rlimits: vec![Rlimit::default(); 16],
            affinity: vec![0, 1],
            ..AssignedState::default()
        }),
        name: "a name".to_owned(),
        ..Assignment::default()
    }
}
