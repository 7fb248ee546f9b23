//! Events, one a line.

use super::text::line;
use super::units::grouped;
use crate::views::{EventView, NewsView};
use std::fmt::Write as _;

/// The line, and its end.
pub(crate) fn news(news: &NewsView) -> String {
    match news {
        NewsView::Event(event) => self::event(event),
        NewsView::Gap { gap } => match gap.last_missed {
            Some(last) if last == gap.first_missed => {
                format!("-- event {last} can't be told any more\n")
            }
            Some(last) => format!(
                "-- events {} to {last} can't be told any more\n",
                gap.first_missed
            ),
            None => format!(
                "-- what followed event {} of run {} can't be told any more\n",
                gap.first_missed.saturating_sub(1),
                gap.instance
            ),
        },
    }
}

fn event(event: &EventView) -> String {
    let time = event.time.as_deref().unwrap_or("-");
    let template = line(&event.template_name);
    let mut text = format!(
        "{time}  {:>5}  {:19}  {template}",
        event.sequence, event.kind
    );
    if event.template != event.template_name
        && let Some(short) = event.template.get(..8)
    {
        let _ = write!(text, " {}", line(short));
    }
    if let Some(pid) = event.zygote_pid {
        let _ = write!(text, "  zygote {pid}");
    }
    if let Some(worker) = &event.worker {
        let _ = write!(text, "  {worker}");
    }
    if let Some(pid) = event.pid {
        let _ = write!(text, "  pid {pid}");
    }
    if let Some(name) = &event.name {
        let _ = write!(text, "  {}", line(name));
    }
    if let Some(task) = &event.task {
        let _ = write!(text, "  {}", line(task));
    }
    let exit = event.exit.as_ref().map(|exit| exit.explained());
    for why in [exit, event.message.clone()].into_iter().flatten() {
        let _ = write!(text, ": {}", line(&why));
    }
    if let Some(count @ 2..) = event.count {
        let _ = write!(text, " ({} times)", grouped(count));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpfork_proto::v1::watch_events_response::What;
    use mpfork_proto::v1::{self, EventKind, Reason};

    fn shown(what: What) -> String {
        news(&NewsView::new(what))
    }

    fn event(kind: EventKind) -> v1::Event {
        v1::Event {
            sequence: 17,
            instance: 0xab,
            time: Some(prost_types::Timestamp {
                seconds: 1_800_000_000,
                nanos: 0,
            }),
            kind: kind.into(),
            template: "3f2a9c1e".repeat(8),
            template_name: "words".to_owned(),
            ..v1::Event::default()
        }
    }

    #[test]
    fn lines() {
        let warm = v1::Event {
            zygote_pid: 4250,
            ..event(EventKind::TemplateWarm)
        };
        assert_eq!(
            shown(What::Event(warm)),
            "2027-01-15T08:00:00.000Z     17  template-warm        words 3f2a9c1e  zygote 4250\n"
        );
        let failed = v1::Event {
            template: "words".to_owned(),
            reason: Reason::ExecFailed.into(),
            task: "absent\x1b[2J".to_owned(),
            message: "no such\nfile".to_owned(),
            count: 1,
            ..event(EventKind::WorkerStartFailed)
        };
        let often = v1::Event {
            count: 1234,
            ..failed.clone()
        };
        let often = shown(What::Event(often));
        assert!(often.ends_with(": no such file (1,234 times)\n"), "{often}");
        assert_eq!(
            shown(What::Event(failed)),
            "2027-01-15T08:00:00.000Z     17  worker-start-failed  words  absent\\u{1b}[2J: no such file\n"
        );
        let gap = v1::Gap {
            instance: 0xab,
            first_missed: 3,
            last_missed: Some(9),
        };
        assert_eq!(
            shown(What::Gap(gap)),
            "-- events 3 to 9 can't be told any more\n"
        );
        let gap = v1::Gap {
            last_missed: None,
            ..gap
        };
        assert_eq!(
            shown(What::Gap(gap)),
            "-- what followed event 2 of run ab can't be told any more\n"
        );
    }

    #[test]
    fn how_a_worker_ended() {
        let exited = v1::Event {
            worker: "ab-3".parse().ok(),
            pid: 42,
            name: "w".to_owned(),
            exit: Some(v1::Exit {
                how: Some(v1::exit::How::Code(3)),
                ..v1::Exit::default()
            }),
            ..event(EventKind::WorkerExited)
        };
        let text = shown(What::Event(exited));
        assert!(text.ends_with("  ab-3  pid 42  w: exit 3\n"), "{text}");
    }
}
