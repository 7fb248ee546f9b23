//! Starts that are refused again and again: told as one event a second, so that a flood of them does
//! not take the place of everything else that is remembered.

use super::Record;
use mpfork_proto::reason::Reason;
use std::collections::HashMap;

/// So many templates and reasons are told apart at a time; beyond them, reasons alone.
const MOST: usize = 256;

/// What was refused lately.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<(String, i32), Option<Repeated>>);

#[derive(Debug)]
struct Repeated {
    count: u64,
    last: Record,
}

impl Repeats {
    /// Gives back what is to be told now: the first refusal of a template for a reason. Those that
    /// follow are counted. A start for which a process was made took as long as one that succeeds, and
    /// is always told; a fork that failed made none.
    pub(super) fn admit(&mut self, mut record: Record) -> Option<Record> {
        record.0.count = 1;
        let reason = Reason::try_from(record.0.reason).unwrap_or_default();
        if had_a_process(reason) {
            return Some(record);
        }
        let mut key = (record.0.template.clone(), record.0.reason);
        // Who asks chooses how an unknown template is called.
        if reason == Reason::UnknownTemplate || (self.0.len() >= MOST && !self.0.contains_key(&key))
        {
            key.0.clear();
        }
        let Some(repeated) = self.0.get_mut(&key) else {
            self.0.insert(key, None);
            return Some(record);
        };
        let before = repeated.as_ref().map_or(0, |repeated| repeated.count);
        *repeated = Some(Repeated {
            count: before + 1,
            last: record,
        });
        None
    }

    /// What was counted since it was asked last. What was not refused again is forgotten.
    pub(super) fn take(&mut self) -> Vec<Record> {
        let mut counted = Vec::new();
        self.0.retain(|_, repeated| {
            let Some(Repeated { count, mut last }) = repeated.take() else {
                return false;
            };
            last.0.count = count;
            counted.push(last);
            true
        });
        counted
    }
}

fn had_a_process(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ExecFailed | Reason::StartStateFailed | Reason::WorkerLost
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpfork_proto::v1::Event;

    fn refusal(template: &str, reason: Reason) -> Record {
        Record(Event {
            template: template.to_owned(),
            reason: reason.into(),
            ..Event::default()
        })
    }

    fn count(record: &Record) -> u64 {
        record.0.count
    }

    #[test]
    fn the_first_is_told_and_the_rest_counted() {
        let mut repeats = Repeats::default();
        for template in ["a", "b"] {
            let first = repeats.admit(refusal(template, Reason::LimitReached));
            assert_eq!(first.as_ref().map(count), Some(1));
            for _ in 0..9 {
                assert!(
                    repeats
                        .admit(refusal(template, Reason::LimitReached))
                        .is_none()
                );
            }
        }
        assert!(repeats.admit(refusal("a", Reason::Draining)).is_some());
        let told = repeats.take();
        assert_eq!(told.iter().map(count).collect::<Vec<_>>(), [9, 9]);
        // It goes on: still one event a turn.
        assert!(repeats.admit(refusal("a", Reason::LimitReached)).is_none());
        let told = repeats.take();
        assert_eq!(told.iter().map(count).collect::<Vec<_>>(), [1]);
        assert!(repeats.take().is_empty());
        // After a turn without any the next one is the first again.
        assert!(repeats.admit(refusal("a", Reason::LimitReached)).is_some());
    }

    #[test]
    fn failures_of_processes_are_each_told() {
        let mut repeats = Repeats::default();
        for _ in 0..3 {
            assert!(repeats.admit(refusal("a", Reason::ExecFailed)).is_some());
        }
        assert!(repeats.take().is_empty());
        // Where no process can be made starts fail as fast as they are asked for.
        for reason in [Reason::ForkFailed, Reason::HookFailed] {
            let told = (0..3).filter_map(|_| repeats.admit(refusal("a", reason)));
            assert_eq!(told.count(), 1, "{reason:?}");
        }
    }

    #[test]
    fn names_of_the_callers_choice_are_no_way_around() {
        let mut repeats = Repeats::default();
        let admitted = |repeats: &mut Repeats, reason| {
            (0..10_000)
                .filter(|n| repeats.admit(refusal(&n.to_string(), reason)).is_some())
                .count()
        };
        assert_eq!(admitted(&mut repeats, Reason::UnknownTemplate), 1);
        // Of many templates too only so many.
        assert_eq!(admitted(&mut repeats, Reason::LimitReached), MOST);
        let told = repeats.take();
        assert_eq!(
            told.iter().map(count).sum::<u64>(),
            20_000 - 1 - MOST as u64
        );
    }
}
