//! Each kind of event, put together.

use crate::template::Template;
use crate::worker::Worker;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{Event, EventKind, Exit, Failure};

/// The longest text in an event, in bytes.
const LONGEST: usize = 512;

/// What is told of a start that gave no worker, as far as its request could be read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    /// As the client calls it.
    pub(crate) template: &'a str,
    pub(crate) name: &'a str,
    /// What it was to run, for people.
    pub(crate) task: &'a str,
}

/// An event that has not got its number yet.
#[derive(Debug)]
pub(crate) struct Record(pub(super) Event);

impl Record {
    /// Of a template.
    pub(crate) fn of_template(kind: EventKind, template: &Template) -> Self {
        Self(Event {
            kind: kind.into(),
            template: template.label.clone(),
            template_name: template.display.clone(),
            ..Event::default()
        })
    }

    /// With the zygote it is about.
    pub(crate) fn zygote(mut self, pid: i32) -> Self {
        self.0.zygote_pid = pid;
        self
    }

    /// With why it is so.
    pub(crate) fn because(mut self, why: &str) -> Self {
        self.0.message = cut(why);
        self
    }

    /// With what failed.
    pub(crate) fn failed(mut self, problem: &Problem) -> Self {
        self.0.reason = problem.reason.into();
        self.because(&problem.message)
    }

    /// A worker was started.
    pub(crate) fn worker_started(worker: &Worker) -> Self {
        Self::of_worker(EventKind::WorkerStarted, worker)
    }

    /// A worker has ended.
    pub(crate) fn worker_exited(worker: &Worker, exit: &Exit) -> Self {
        let mut record = Self::of_worker(EventKind::WorkerExited, worker);
        let failure = exit.failure.as_ref().map(|failure| Failure {
            kind: failure.kind,
            message: cut(&failure.message),
            location: cut(&failure.location),
            ..Failure::default()
        });
        record.0.exit = Some(Exit {
            how: exit.how.clone(),
            rusage: exit.rusage,
            failure,
            run_time: exit.run_time,
            ..Exit::default()
        });
        record
    }

    fn of_worker(kind: EventKind, worker: &Worker) -> Self {
        Self(Event {
            kind: kind.into(),
            template: worker.template.clone(),
            template_name: worker.template_name.clone(),
            worker: Some(worker.id),
            pid: worker.pid,
            name: worker.name.clone(),
            task: cut(&worker.description),
            ..Event::default()
        })
    }

    /// A start gave no worker. The template may be none.
    pub(crate) fn start_failed(
        asked: Asked<'_>,
        template: Option<&Template>,
        problem: &Problem,
    ) -> Self {
        let named = || cut(asked.template);
        Self(Event {
            kind: EventKind::WorkerStartFailed.into(),
            template: template.map_or_else(named, |t| t.label.clone()),
            template_name: template.map_or_else(named, |t| t.display.clone()),
            name: cut(asked.name),
            task: cut(asked.task),
            ..Event::default()
        })
        .failed(problem)
    }
}

fn cut(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    const MARK: &str = "…";
    let end = text.floor_char_boundary(LONGEST - MARK.len());
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_where_a_character_ends() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"é".repeat(LONGEST));
        assert!(long.len() <= LONGEST && long.ends_with("é…"), "{long}");
    }
}
