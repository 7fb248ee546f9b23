//! `mpctl events`.

use super::Call;
use crate::cli::EventsArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::render;
use crate::views::NewsView;
use mpfork_proto::v1::WatchEventsRequest;

pub(crate) fn call(call: &Call, args: EventsArgs) -> Result<Ending, Failed> {
    let output = call.output;
    call.ask("watching events", |client| async move {
        let since = args.since.or(args.no_follow.then_some(Since::ALL));
        let request = WatchEventsRequest {
            after_sequence: since.map(|since| since.sequence),
            instance: since
                .and_then(|since| since.instance)
                .unwrap_or(client.instance()),
            kinds: args.kind.into_iter().flatten().map(i32::from).collect(),
            template: args.template,
            remembered_only: args.no_follow,
        };
        let mut events = client.watch_events(request).await?;
        while let Some(what) = events.next().await? {
            match output.record(&NewsView::new(what), render::news) {
                Ok(true) => {}
                Ok(false) => break,
                Err(failed) => return Ok(Err(failed)),
            }
        }
        Ok(Ok(Ending::Code(0)))
    })?
}

/// The event after which to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since {
    /// The present run of the daemon when absent.
    instance: Option<u64>,
    sequence: u64,
}

impl Since {
    /// All that are remembered.
    const ALL: Self = Self {
        instance: None,
        sequence: 0,
    };
}

impl std::str::FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a number, or INSTANCE-NUMBER as --json prints it";
        let (instance, sequence) = match text.split_once('-') {
            None => (None, text),
            Some((instance, sequence)) => {
                let instance = u64::from_str_radix(instance, 16).map_err(|_| EXPECTED)?;
                (Some(instance), sequence)
            }
        };
        Ok(Self {
            instance,
            sequence: sequence.parse().map_err(|_| EXPECTED)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_with_or_without_its_run() {
        let since = |instance, sequence| Since { instance, sequence };
        assert_eq!("17".parse(), Ok(since(None, 17)));
        assert_eq!("ab-17".parse(), Ok(since(Some(0xab), 17)));
        for wrong in ["", "-", "x", "ab-", "-1", "xy-1", "1-2-3"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
