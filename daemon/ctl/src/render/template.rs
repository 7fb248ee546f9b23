//! Templates: as a table, and one with all there is to know.

use super::columns::{Align, Columns};
use super::text::{line, wrap};
use super::units::{bytes, count, duration, grouped, short_age};
use super::{WIDTH, compaction};
use crate::views::{SavingView, TemplateView};

const NONE: &str = "-";

/// All of them, one a row.
pub(crate) fn templates(templates: &[TemplateView]) -> String {
    let mut lines = template_table(templates);
    lines.push(String::new());
    lines.join("\n")
}

pub(super) fn template_table(templates: &[TemplateView]) -> Vec<String> {
    let mut table = Columns::new(&[
        ("TEMPLATE", Align::Left),
        ("STATE", Align::Left),
        ("ZYGOTE", Align::Right),
        ("PRELOAD", Align::Right),
        ("RSS", Align::Right),
        ("PSS", Align::Right),
        ("AGE", Align::Right),
        ("NOW", Align::Right),
        ("TOTAL", Align::Right),
        ("FAILED", Align::Right),
        ("P50", Align::Right),
        ("P99", Align::Right),
    ]);
    table.group("MEMORY", 4..7);
    table.group("WORKERS", 7..10);
    table.group("START", 10..12);
    for template in templates {
        table.row(cells(template), notes(template));
    }
    table.lines(0, WIDTH)
}

fn cells(template: &TemplateView) -> Vec<String> {
    fn or_none<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
        value.map_or_else(|| NONE.to_owned(), text)
    }
    let micros = |micros: u64| duration(micros as f64 / 1e6);
    vec![
        line(&template.label()),
        template.state_label(),
        or_none(template.zygote_pid, |pid| pid.to_string()),
        or_none(template.preload_seconds, duration),
        or_none(template.rss_bytes, bytes),
        or_none(template.pss_bytes, bytes),
        or_none(template.memory_age_seconds, short_age),
        count(template.workers_running.into()),
        count(template.workers_started),
        count(template.workers_failed),
        or_none(template.start_latency_us.p50, micros),
        or_none(template.start_latency_us.p99, micros),
    ]
}

fn notes(template: &TemplateView) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |title: &str, text: &str| {
        let title = format!("  {title}: ");
        let indent = " ".repeat(title.len());
        for (index, text) in wrap(text, WIDTH - indent.len()).into_iter().enumerate() {
            let lead = if index == 0 { &title } else { &indent };
            notes.push(format!("{lead}{text}"));
        }
    };
    if let Some(reason) = &template.reason {
        note("why", reason);
    }
    // What keeps it from being warm now has been said.
    if let Some(error) = &template.last_error
        && template.reason.as_ref() != Some(error)
    {
        note("last failure", error);
    }
    if let Some(advice) = &template.advice {
        note("advice", advice);
    }
    if template.draining_zygotes > 0 {
        let count = template.draining_zygotes;
        note(
            "draining",
            &format!("{count} older, until their workers have ended"),
        );
    }
    notes
}

/// One, with everything.
pub(crate) fn template(template: &TemplateView) -> String {
    let mut lines = Vec::new();
    let mut fact = |title: &str, text: String| {
        for (index, text) in wrap(&text, WIDTH - 16).into_iter().enumerate() {
            let title = if index == 0 { title } else { "" };
            lines.push(format!("{title:14}  {text}"));
        }
    };
    fact("name", template.name.clone());
    fact(
        "digest",
        template.digest.clone().unwrap_or_else(|| NONE.to_owned()),
    );
    let origin = if template.configured {
        "configured"
    } else {
        "registered by a client"
    };
    fact("origin", origin.to_owned());
    fact("state", template.state_label());
    fact("why", template.reason.clone().unwrap_or_default());
    fact(
        "last failure",
        template.last_error.clone().unwrap_or_default(),
    );
    let trace = template.last_trace.as_deref().unwrap_or_default();
    for (index, line) in trace.lines().enumerate() {
        fact(if index == 0 { "trace" } else { "" }, line.to_owned());
    }
    fact("program", template.program.clone());
    fact("build id", template.build_id.clone().unwrap_or_default());
    fact("arguments", quoted(&template.args));
    fact("preloads", template.preloads.join(", "));
    fact(
        "zygote",
        template
            .zygote_pid
            .map_or_else(String::new, |pid| format!("pid {pid}")),
    );
    fact(
        "preloaded in",
        template.preload_seconds.map_or_else(String::new, duration),
    );
    for report in &template.preload_reports {
        let time = duration(report.seconds);
        fact(
            "",
            match &report.error {
                Some(error) => {
                    format!("{time} {}: failed, served without it: {error}", report.name)
                }
                None => format!("{time} {}", report.name),
            },
        );
    }
    if let (Some(rss), Some(pss), Some(private)) = (
        template.rss_bytes,
        template.pss_bytes,
        template.private_bytes,
    ) {
        let age = template
            .memory_age_seconds
            .map_or_else(String::new, |age| format!(", {} ago", short_age(age)));
        let (rss, pss, private) = (bytes(rss), bytes(pss), bytes(private));
        fact(
            "memory",
            format!("{rss} resident, {pss} proportional, {private} private{age}"),
        );
    }
    fact(
        "saved",
        template.saving.as_ref().map_or_else(String::new, saving),
    );
    for kept in &template.kept_descriptors {
        fact("descriptor", format!("{} {}", kept.number, kept.what));
    }
    fact(
        "workers",
        format!(
            "{} running, {} started, {} starts failed",
            template.workers_running, template.workers_started, template.workers_failed
        ),
    );
    let latency = &template.start_latency_us;
    if let (Some(p50), Some(p99)) = (latency.p50, latency.p99) {
        let text = |micros: u64| duration(micros as f64 / 1e6);
        fact(
            "start latency",
            format!("p50 {}, p99 {}", text(p50), text(p99)),
        );
        for (way, latency) in &template.start_latency_us_by_way {
            if let (Some(p50), Some(p99)) = (latency.p50, latency.p99) {
                let (p50, p99) = (text(p50), text(p99));
                let starts = count(latency.count);
                fact("", format!("by {way} ({starts}): p50 {p50}, p99 {p99}"));
            }
        }
    }
    fact(
        "a fork takes",
        template.fork_seconds.map_or_else(String::new, duration),
    );
    for (title, text) in template.compaction.iter().flat_map(compaction::facts) {
        fact(title, text);
    }
    fact("advice", template.advice.clone().unwrap_or_default());
    let spares = &template.spares;
    fact(
        "spares",
        format!(
            "{} wait for an assignment, of {} to {}",
            spares.idle, spares.min, spares.max
        ),
    );
    if template.draining_zygotes > 0 {
        fact(
            "draining",
            format!("{} older zygotes", template.draining_zygotes),
        );
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What sharing memory saves.
pub(super) fn saving(saving: &SavingView) -> String {
    let saved = match u64::try_from(saving.saved_bytes) {
        Ok(saved) => bytes(saved),
        Err(_) => "nothing yet".to_owned(),
    };
    let workers = match saving.workers {
        1 => "1 worker".to_owned(),
        count => format!("{} workers", grouped(count.into())),
    };
    let age = saving
        .age_seconds
        .map_or_else(String::new, |age| format!(", {} ago", short_age(age)));
    let (taken, spawned) = (bytes(saving.taken_bytes), bytes(saving.spawned_bytes));
    format!("{saved}: {workers} and zygotes take {taken}, {spawned} if spawned{age}")
}

/// Words with the quotes a shell would need.
fn quoted(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let words = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::samples;
    use mpfork_proto::v1;

    #[test]
    fn everything_about_one() {
        let view = |template| TemplateView::new(template, samples::now());
        assert_eq!(
            template(&view(samples::template("words"))),
            include_str!("golden/template.txt")
        );
        assert_eq!(
            template(&view(samples::failed_template())),
            include_str!("golden/template-failed.txt")
        );
    }

    #[test]
    fn what_would_be_cheaper_is_told() {
        let dear = v1::Template {
            advice: "a fork takes 45.0ms".to_owned(),
            ..samples::template("words")
        };
        let view = TemplateView::new(dear, samples::now());
        assert!(template(&view).contains("\nadvice          a fork takes 45.0ms\n"));
        assert!(templates(&[view]).contains("\n  advice: a fork takes 45.0ms\n"));
    }

    #[test]
    fn what_is_saved_of_memory() {
        let of = |workers, spawned, taken| v1::Template {
            saving: Some(v1::Saving {
                spawned_bytes: spawned,
                taken_bytes: taken,
                workers,
                ..v1::Saving::default()
            }),
            ..samples::template("words")
        };
        let view = |template| TemplateView::new(template, samples::now()).saving.unwrap();
        let (many, one) = (
            view(of(1200, 3 << 30, 1 << 30)),
            view(of(1, 10 << 20, 12 << 20)),
        );
        assert_eq!(
            saving(&many),
            "2.0G: 1,200 workers and zygotes take 1.0G, 3.0G if spawned"
        );
        assert_eq!(
            saving(&one),
            "nothing yet: 1 worker and zygotes take 12M, 10M if spawned"
        );
        let sum = SavingView::sum([many, one].iter()).unwrap();
        assert_eq!(
            (sum.workers, sum.saved_bytes),
            (1201, (2 << 30) - (2 << 20))
        );
        assert!(SavingView::sum([].iter()).is_none());
    }

    #[test]
    fn words_are_quoted() {
        let words = ["a", "", "it's", "b c"].map(str::to_owned);
        assert_eq!(quoted(&words), "a '' 'it'\\''s' 'b c'");
    }
}
