//! The page people keep open.

use super::WIDTH;
use super::columns::{Align, Columns, beside};
use super::template::{self, template_table};
use super::text::{line, wrap};
use super::units::{age, grouped};
use crate::views::{ConfigurationView, StatusView};

/// Where the right block begins: names of limits, which are keys of the configuration, are shown whole.
const LEFT: usize = 56;

/// The whole page, at most [`WIDTH`] characters wide.
pub(crate) fn status(status: &StatusView) -> String {
    let mut lines = vec![head(status)];
    lines.extend(wrap(&format!("socket {}", status.socket), WIDTH));
    if let Some(configuration) = &status.configuration {
        lines.extend(self::configuration(configuration));
    }
    lines.push(String::new());
    lines.extend(template_table(&status.templates));
    lines.push(String::new());
    let workers = &status.workers;
    lines.push(format!(
        "WORKERS  {} running, {} started, {} exited, {} starts failed",
        grouped(workers.running),
        grouped(workers.started),
        grouped(workers.exited),
        grouped(workers.failed),
    ));
    let saved = status.saving.iter().map(template::saving);
    lines.extend(saved.map(|saved| format!("SAVED    {saved}")));
    let connections = grouped(status.connections.into());
    let strangers = match status.strangers_reaped {
        0 => String::new(),
        reaped => format!(", {} foreign orphans reaped", grouped(reaped)),
    };
    lines.push(format!("CLIENTS  {connections} connected{strangers}"));
    lines.push(String::new());
    lines.extend(beside(&limits(status), &features(status), LEFT));
    lines.push(String::new());
    lines.join("\n")
}

/// What the page is about.
pub(super) fn head(status: &StatusView) -> String {
    let ending = match (status.shutting_down, status.draining) {
        (true, _) => "   SHUTTING DOWN",
        (false, true) => "   DRAINING",
        (false, false) => "",
    };
    format!(
        "mpforkd {}   pid {}   up {}   user {}   instance {}{ending}",
        line(&status.version),
        status.pid,
        age(status.uptime_seconds),
        status.uid,
        status.instance,
    )
}

fn configuration(configuration: &ConfigurationView) -> Vec<String> {
    let read = configuration
        .age_seconds
        .map_or_else(String::new, |seconds| {
            format!(" (read {} ago)", age(seconds))
        });
    let mut lines = wrap(&format!("config {}{read}", configuration.path), WIDTH);
    let mut below = |text: String| {
        let wrapped = wrap(&text, WIDTH - 2);
        lines.extend(wrapped.into_iter().map(|line| format!("  {line}")));
    };
    if let Some(error) = &configuration.error {
        below(format!("NOT RELOADED, what was read before holds: {error}"));
    }
    if !configuration.pending.is_empty() {
        let names = configuration.pending.join(", ");
        below(format!("RESTART to apply: {names}"));
    }
    lines
}

fn limits(status: &StatusView) -> Vec<String> {
    let mut table = Columns::new(&[
        ("LIMITS", Align::Left),
        ("IN USE", Align::Right),
        ("LIMIT", Align::Right),
    ]);
    for limit in &status.limits {
        let used = limit.used.map_or_else(String::new, grouped);
        table.row(vec![line(&limit.name), used, grouped(limit.value)], vec![]);
    }
    table.lines(0, LEFT - 2)
}

fn features(status: &StatusView) -> Vec<String> {
    let names = status.features.iter().map(|feature| feature.name.len());
    let width = names.max().unwrap_or(0).max("KERNEL FEATURES".len());
    let mut lines = vec!["KERNEL FEATURES".to_owned()];
    for feature in &status.features {
        let name = line(&feature.name);
        let text = match (&feature.detail, feature.available) {
            (_, true) => "yes".to_owned(),
            (None, false) => "no".to_owned(),
            (Some(detail), false) => format!("no: {detail}"),
        };
        let room = WIDTH.saturating_sub(LEFT + width + 2);
        for (index, text) in wrap(&text, room).iter().enumerate() {
            let name = if index == 0 { name.as_str() } else { "" };
            lines.push(format!("{name:width$}  {text}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::samples;
    use mpfork_proto::v1;

    fn page(status: v1::GetStatusResponse) -> String {
        super::status(&StatusView::new(status, samples::now()))
    }

    #[test]
    fn the_page() {
        let expected = include_str!("golden/status.txt");
        assert_eq!(page(samples::status()), expected);
    }

    #[test]
    fn a_daemon_that_has_done_nothing_yet() {
        let command = v1::Template {
            name: "command".to_owned(),
            configured: true,
            state: v1::TemplateState::Cold.into(),
            reason: "no zygote: the next start launches one".to_owned(),
            ..v1::Template::default()
        };
        let status = v1::GetStatusResponse {
            templates: vec![command],
            workers: None,
            connections: 1,
            strangers_reaped: 0,
            uptime: None,
            shutting_down: true,
            configuration: None,
            features: Vec::new(),
            ..samples::status()
        };
        assert_eq!(page(status), include_str!("golden/status-idle.txt"));
    }

    #[test]
    fn templates_whose_workers_are_made_by_spawn_say_so() {
        let spawned = v1::Template {
            way: v1::StartWay::Spawn.into(),
            preload_time: None,
            ..samples::template("words")
        };
        let status = v1::GetStatusResponse {
            templates: vec![spawned],
            ..samples::status()
        };
        let page = page(status);
        let row = page.lines().find(|line| line.starts_with("words")).unwrap();
        let cells: Vec<_> = row.split_whitespace().take(6).collect();
        assert_eq!(cells, ["words", "warm,", "by", "spawn", "4250", "-"]);
    }

    #[test]
    fn limits_are_named_as_in_the_configuration() {
        let name = "request_bytes_per_connection";
        let mut status = samples::status();
        status.limits[0].name = name.to_owned();
        status.limits[0].value = 67_108_864;
        status.limits[0].used = Some(67_108_864);
        let page = page(status);
        assert!(page.lines().any(|line| line.starts_with(name)), "{page}");
    }

    #[test]
    fn it_fits_whatever_is_on_it() {
        let mut status = samples::status();
        let long = "very-long-words-and ".repeat(12);
        status.socket = b"/a-long-path".repeat(15);
        let template = &mut status.templates[0];
        template.configured = false;
        template.name = "a-program-with-a-name-that-is-much-too-long-for-a-column".to_owned();
        template.state = v1::TemplateState::Draining.into();
        template.zygote_pid = 4_194_304;
        template.workers_running = u32::MAX;
        template.workers_started = u64::MAX;
        template.workers_failed = u64::MAX;
        template.reason.clone_from(&long);
        template.last_error = format!("{long}\x1b[31m");
        template.start_latency = Some(v1::LatencySummary {
            p50_us: 123_456_789,
            p99_us: 3_599_999_999,
            count: 1,
        });
        template.preload_time = Some(prost_types::Duration {
            seconds: 299,
            nanos: 0,
        });
        status.features[1].detail.clone_from(&long);
        if let Some(configuration) = &mut status.configuration {
            configuration.path = long.clone().into_bytes();
            configuration.error = format!("{long}\n\x1b[31m");
            configuration.pending = vec![long];
        }
        let page = page(status);
        for line in page.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
