//! What of a template is told to those who watch events.

use super::Template;
use crate::daemon::Daemon;
use crate::events::Record;
use crate::zygote::Zygote;
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
