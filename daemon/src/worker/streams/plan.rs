//! What each standard stream is to be, as a request says it or leaves it open.

use mpfork_proto::link::assigned_state::Placed;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{self, Stdio};

/// What one stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// A descriptor of the client's.
    Given,
    /// The null device, which the worker opens itself.
    Null,
    Kept,
    Attached,
}

/// What is to be opened for a worker before it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    streams: [Stream; 3],
    /// The function's result comes over Attach.
    pub(super) result: bool,
    /// How many descriptors the client gave, and how many of them have numbers.
    pub(super) descriptors: usize,
    pub(super) placed: usize,
}

impl Plan {
    /// From a request; `attaching` when it came by Attach.
    pub(crate) fn new(
        stdio: Option<Stdio>,
        placed: &[Placed],
        descriptors: usize,
        result: bool,
        attaching: bool,
    ) -> Result<Self, Problem> {
        let stdio = stdio.unwrap_or_default();
        let mut streams = [Stream::Null; 3];
        let asked = [
            ("spec.state.stdio.stdin", stdio.stdin),
            ("spec.state.stdio.stdout", stdio.stdout),
            ("spec.state.stdio.stderr", stdio.stderr),
        ];
        for ((number, stream), (field, asked)) in (0u32..).zip(&mut streams).zip(asked) {
            let given = placed.iter().any(|placed| placed.target == number);
            *stream = match v1::Stream::try_from(asked) {
                Err(_) => return Err(Problem::bad_request(field, "unknown value")),
                Ok(v1::Stream::Unspecified) if given => Stream::Given,
                Ok(_) if given => {
                    let detail = "there is a descriptor for it as well";
                    return Err(Problem::bad_request(field, detail));
                }
                Ok(v1::Stream::Unspecified) if attaching => Stream::Attached,
                Ok(v1::Stream::Unspecified) if number == 0 => Stream::Null,
                Ok(v1::Stream::Unspecified) => Stream::Kept,
                Ok(v1::Stream::Null) => Stream::Null,
                Ok(v1::Stream::Kept) if number == 0 => {
                    return Err(Problem::bad_request(field, "input can't be kept"));
                }
                Ok(v1::Stream::Kept) => Stream::Kept,
                Ok(v1::Stream::Attached) => Stream::Attached,
            };
        }
        Ok(Self {
            streams,
            result,
            descriptors,
            placed: placed.len(),
        })
    }

    /// Whether there is anything to open.
    pub(super) fn is_needed(&self) -> bool {
        let ours = |stream: &Stream| matches!(stream, Stream::Kept | Stream::Attached);
        self.result || self.streams.iter().any(ours)
    }

    /// The numbers of the streams that are this.
    pub(super) fn which(&self, what: Stream) -> impl Iterator<Item = u32> {
        (0u32..)
            .zip(self.streams)
            .filter(move |(_, stream)| *stream == what)
            .map(|(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(stdio: Stdio, given: &[u32], attaching: bool) -> Result<[Stream; 3], String> {
        let placed = given.iter().map(|target| Placed {
            index: 0,
            target: *target,
        });
        let placed: Vec<_> = placed.collect();
        Plan::new(Some(stdio), &placed, placed.len(), false, attaching)
            .map(|plan| plan.streams)
            .map_err(|problem| problem.get("field").to_owned())
    }

    #[test]
    fn what_is_not_said() {
        use Stream::{Attached, Given, Kept, Null};
        let nothing = Stdio::default();
        assert_eq!(plan(nothing, &[], false), Ok([Null, Kept, Kept]));
        assert_eq!(plan(nothing, &[], true), Ok([Attached; 3]));
        assert_eq!(plan(nothing, &[0, 1, 2, 7], true), Ok([Given; 3]));
        assert_eq!(plan(nothing, &[1], false), Ok([Null, Given, Kept]));
    }

    #[test]
    fn what_is_said() {
        use Stream::{Attached, Kept, Null};
        let said = Stdio {
            stdin: v1::Stream::Attached.into(),
            stdout: v1::Stream::Null.into(),
            stderr: v1::Stream::Kept.into(),
        };
        assert_eq!(plan(said, &[], false), Ok([Attached, Null, Kept]));
        assert_eq!(plan(said, &[], true), Ok([Attached, Null, Kept]));
        let field = |name: &str| Err(format!("spec.state.stdio.{name}"));
        assert_eq!(plan(said, &[1], false), field("stdout"));
        let kept_input = Stdio {
            stdin: v1::Stream::Kept.into(),
            ..Stdio::default()
        };
        assert_eq!(plan(kept_input, &[], false), field("stdin"));
        let unknown = Stdio {
            stderr: 9,
            ..Stdio::default()
        };
        assert_eq!(plan(unknown, &[], false), field("stderr"));
    }
}
