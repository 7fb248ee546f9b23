//! How a zygote's memory is backed: a few lines of a template.

use super::units::{bytes, duration, short_age};
use crate::views::{CompactionView, StepView};

/// Lines, each with its title, or none when it belongs to the one above.
pub(super) fn facts(compaction: &CompactionView) -> Vec<(&'static str, String)> {
    if let Some(why) = &compaction.skipped {
        return vec![("huge pages", format!("memory is left as it is: {why}"))];
    }
    let age = compaction
        .age_seconds
        .map_or_else(String::new, |age| format!(", {} ago", short_age(age)));
    let (huge, all) = (compaction.huge_bytes, compaction.anonymous_bytes);
    let before = bytes(compaction.huge_bytes_before);
    let mut facts = vec![(
        "huge pages",
        format!(
            "{} of {} private{age}; {before} when preloaded",
            bytes(huge),
            bytes(all)
        ),
    )];
    if compaction.times_again > 0 {
        let (times, gained) = (compaction.times_again, bytes(compaction.bytes_again));
        facts.push((
            "",
            format!("put together again {times} times, {gained} in all"),
        ));
    }
    if let (Some(before), Some(after)) = (
        compaction.fork_seconds_before,
        compaction.fork_seconds_after,
    ) {
        let (before, after) = (duration(before), duration(after));
        facts.push(("", format!("a fork took {before} before and {after} after")));
    }
    let all = compaction.seconds.map_or_else(String::new, duration);
    facts.push(("compacted in", all));
    facts.extend(compaction.steps.iter().map(|taken| ("", step(taken))));
    facts
}

fn step(step: &StepView) -> String {
    let time = step.seconds.map_or_else(String::new, duration);
    let done = format!("{time} {}: {}", step.name, bytes(step.bytes));
    match &step.why {
        None => done,
        Some(why) => format!("{done}, {why}"),
    }
}
