//! The live view.

use super::WIDTH;
use super::columns::{Align, Columns};
use super::status::head;
use super::text::{fit, line};
use super::units::{bytes, count, duration, grouped, rate};
use crate::views::{StatusView, TemplateView};

const NONE: &str = "-";

/// A page of so many lines and columns: what is so now, and what has happened each second since
/// `before` was looked at, so many seconds ago.
pub(crate) fn top(
    now: &StatusView,
    before: Option<(&StatusView, f64)>,
    rows: usize,
    columns: usize,
) -> Vec<String> {
    let mut lines = vec![head(now)];
    lines.extend(totals(now, before));
    lines.push(String::new());
    lines.extend(table(now, before));
    let last = "q quits";
    // The last line tells what to do, the one above what did not fit.
    let room = rows.saturating_sub(1);
    if lines.len() > room {
        let hidden = lines.len() - room.saturating_sub(1);
        lines.truncate(room.saturating_sub(1));
        lines.push(format!("… {hidden} more lines"));
    }
    lines.resize(room, String::new());
    lines.push(last.to_owned());
    lines.truncate(rows);
    lines.iter().map(|line| fit(line, columns)).collect()
}

/// What has come in addition, each second.
fn per_second(now: u64, before: u64, seconds: f64) -> String {
    rate(now.saturating_sub(before) as f64 / seconds)
}

fn totals(now: &StatusView, before: Option<(&StatusView, f64)>) -> Vec<String> {
    let of = |pick: fn(&StatusView) -> u64| match before {
        Some((before, seconds)) => per_second(pick(now), pick(before), seconds),
        None => NONE.to_owned(),
    };
    let limit = now.limits.iter().find(|limit| limit.name == "workers");
    let limit = limit.map_or_else(String::new, |limit| format!(" of {}", grouped(limit.value)));
    let waiting = now
        .limits
        .iter()
        .find(|limit| limit.name == "waiting_starts");
    let waiting = waiting.and_then(|limit| limit.used).unwrap_or(0);
    vec![
        format!(
            "WORKERS  {} running{limit}, {} started, {} exited, {} starts failed, {} waiting",
            grouped(now.workers.running),
            grouped(now.workers.started),
            grouped(now.workers.exited),
            grouped(now.workers.failed),
            grouped(waiting),
        ),
        format!(
            "EACH SECOND  {} started, {} exited, {} starts failed      CLIENTS  {} connected",
            of(|status| status.workers.started),
            of(|status| status.workers.exited),
            of(|status| status.workers.failed),
            grouped(now.connections.into()),
        ),
    ]
}

fn table(now: &StatusView, before: Option<(&StatusView, f64)>) -> Vec<String> {
    let mut table = Columns::new(&[
        ("TEMPLATE", Align::Left),
        ("STATE", Align::Left),
        ("ZYGOTE", Align::Right),
        ("RSS", Align::Right),
        ("NOW", Align::Right),
        ("TOTAL", Align::Right),
        ("FAILED", Align::Right),
        ("STARTS", Align::Right),
        ("EXITS", Align::Right),
        ("FAILS", Align::Right),
        ("P50", Align::Right),
        ("P99", Align::Right),
    ]);
    table.group("WORKERS", 4..7);
    table.group("EACH SECOND", 7..10);
    table.group("START", 10..12);
    for template in &now.templates {
        let earlier = before.and_then(|(before, seconds)| {
            let same = |other: &&TemplateView| {
                other.name == template.name && other.digest == template.digest
            };
            before
                .templates
                .iter()
                .find(same)
                .map(|other| (other, seconds))
        });
        table.row(cells(template, earlier), Vec::new());
    }
    table.lines(0, WIDTH)
}

fn cells(now: &TemplateView, before: Option<(&TemplateView, f64)>) -> Vec<String> {
    let of = |pick: fn(&TemplateView) -> u64| match before {
        Some((before, seconds)) => per_second(pick(now), pick(before), seconds),
        None => NONE.to_owned(),
    };
    let exited = |template: &TemplateView| {
        let running = u64::from(template.workers_running);
        template.workers_started.saturating_sub(running)
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
    let micros = |micros: u64| duration(micros as f64 / 1e6);
    vec![
        line(&now.label()),
        now.state_label(),
        or_none(now.zygote_pid.map(|pid| pid.to_string())),
        or_none(now.rss_bytes.map(bytes)),
        count(now.workers_running.into()),
        count(now.workers_started),
        count(now.workers_failed),
        of(|template| template.workers_started),
        of(exited),
        of(|template| template.workers_failed),
        or_none(now.start_latency_us.p50.map(micros)),
        or_none(now.start_latency_us.p99.map(micros)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::samples;

    fn view(status: mpfork_proto::v1::GetStatusResponse) -> StatusView {
        StatusView::new(status, samples::now())
    }

    #[test]
    fn the_page() {
        let before = view(samples::status());
        let mut later = samples::status();
        later.templates[0].workers_started += 300;
        later.templates[0].workers_running += 4;
        later.templates[1].workers_failed += 1;
        let workers = later.workers.as_mut().unwrap();
        workers.started += 300;
        workers.exited += 296;
        workers.running += 4;
        workers.failed += 1;
        let page = top(&view(later), Some((&before, 2.0)), 12, 100).join("\n") + "\n";
        assert_eq!(page, include_str!("golden/top.txt"));
    }

    #[test]
    fn the_first_look_knows_no_rates_and_everything_fits() {
        let status = view(samples::status());
        for (rows, columns) in [(24, 80), (5, 30), (2, 10), (1, 1), (0, 0)] {
            let page = top(&status, None, rows, columns);
            assert_eq!(page.len(), rows);
            assert!(
                page.iter()
                    .all(|line| line.chars().count() <= columns.max(1))
            );
        }
        let page = top(&status, None, 6, 80);
        assert_eq!(page[4], "… 4 more lines");
        assert_eq!(page[5], "q quits");
    }
}
