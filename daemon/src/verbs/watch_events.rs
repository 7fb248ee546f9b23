//! Tells what happens.

use super::{Call, Streamed};
use crate::daemon::Daemon;
use futures_util::stream;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::watch_events_response::What;
use mpfork_proto::v1::{Event, EventKind, Gap, WatchEventsRequest, WatchEventsResponse};
use std::collections::VecDeque;
use std::sync::Arc;

pub(super) async fn serve(
    call: Call<WatchEventsRequest>,
) -> Result<Streamed<WatchEventsResponse>, Problem> {
    let (daemon, request) = (call.daemon, call.message);
    let mut told = VecDeque::new();
    let (seen, gap) = begin(&daemon, &request)?;
    told.extend(gap.map(What::Gap));
    let follower = Follower {
        until: request.remembered_only.then(|| daemon.events.last()),
        filter: Filter::new(request)?,
        daemon,
        seen,
        told,
    };
    let events = stream::unfold(follower, async |mut follower| {
        let what = follower.next().await?;
        Some((Ok(WatchEventsResponse { what: Some(what) }), follower))
    });
    Ok(Box::pin(events))
}

/// The event after which to begin, and what is missed already.
fn begin(daemon: &Daemon, request: &WatchEventsRequest) -> Result<(u64, Option<Gap>), Problem> {
    let events = &daemon.events;
    match request.after_sequence {
        None => Ok((events.last(), None)),
        Some(0) => Ok((0, None)),
        Some(_) if request.instance == 0 => Err(Problem::bad_request(
            "instance",
            "an event's number says nothing without the run of the daemon that gave it",
        )),
        Some(after) if request.instance != events.instance() => {
            let gap = Gap {
                instance: request.instance,
                first_missed: after.saturating_add(1),
                last_missed: None,
            };
            Ok((0, Some(gap)))
        }
        Some(after) if after > events.last() => Err(Problem::bad_request(
            "after_sequence",
            format!("there is no such event; the last one is {}", events.last()),
        )),
        Some(after) => Ok((after, None)),
    }
}

/// One who is told.
struct Follower {
    daemon: Arc<Daemon>,
    filter: Filter,
    /// The last event that was looked at.
    seen: u64,
    /// No event after this one is wanted.
    until: Option<u64>,
    /// To be told: a handful, and only when it is asked for, which HTTP/2 sees to.
    told: VecDeque<What>,
}

impl Follower {
    async fn next(&mut self) -> Option<What> {
        loop {
            if let Some(what) = self.told.pop_front() {
                return Some(what);
            }
            if self.until.is_some_and(|until| self.seen >= until) {
                return None;
            }
            let found = self.daemon.events.after(self.seen);
            if let Some(gap) = found.gap {
                self.seen = gap.last_missed.unwrap_or(self.seen);
                self.told.push_back(What::Gap(gap));
            }
            let none = found.events.is_empty();
            for event in found.events {
                if self.until.is_some_and(|until| event.sequence > until) {
                    break;
                }
                self.seen = event.sequence;
                if self.filter.wants(&event) {
                    self.told.push_back(What::Event(event));
                }
            }
            if none && self.told.is_empty() && !self.daemon.events.more(self.seen).await {
                return None;
            }
        }
    }
}

/// What is asked for.
struct Filter {
    kinds: Vec<EventKind>,
    template: String,
}

impl Filter {
    fn new(request: WatchEventsRequest) -> Result<Self, Problem> {
        let kind = |number: i32| match EventKind::try_from(number) {
            Ok(EventKind::Unspecified) | Err(_) => Err(Problem::bad_request(
                "kinds",
                format!("there is no kind {number}"),
            )),
            Ok(kind) => Ok(kind),
        };
        let mut kinds = request
            .kinds
            .into_iter()
            .map(kind)
            .collect::<Result<Vec<_>, _>>()?;
        kinds.sort();
        kinds.dedup();
        Ok(Self {
            kinds,
            template: request.template,
        })
    }

    fn wants(&self, event: &Event) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&event.kind());
        let template = &self.template;
        kind && (template.is_empty()
            || event.template == *template
            || event.template_name == *template
            || crate::template::table::is_beginning(template, &event.template))
    }
}
