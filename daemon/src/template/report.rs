//! What of a template is told to those who watch events.

use super::Template;
use crate::daemon::Daemon;
use crate::events::Record;
use crate::zygote::Zygote;
use crate::zygote::dear::Dear;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::EventKind;

impl Template {
    pub(super) fn publish_warm(&self, daemon: &Daemon, zygote: &Zygote) {
        let pid = zygote.child.pid;
        self.publish(daemon, EventKind::TemplateWarm, |event| event.zygote(pid));
    }

    pub(super) fn publish_failed(&self, daemon: &Daemon, zygote: i32, problem: &Problem) {
        self.publish(daemon, EventKind::TemplateFailed, |event| {
            event.zygote(zygote).failed(problem)
        });
    }

    /// Tells once that spawning would be cheaper than forking this zygote.
    pub(crate) fn warn_dear(&self, daemon: &Daemon, zygote: &Zygote, dear: Dear) {
        let (pid, advice) = (zygote.child.pid, dear.advice());
        tracing::warn!(template = self.display, zygote = pid, "{advice}");
        self.publish(daemon, EventKind::TemplateDear, |event| {
            event.zygote(pid).because(&advice)
        });
    }

    pub(super) fn publish(
        &self,
        daemon: &Daemon,
        kind: EventKind,
        detail: impl FnOnce(Record) -> Record,
    ) {
        let record = Record::of_template(kind, self);
        daemon.events.publish(detail(record));
    }
}
