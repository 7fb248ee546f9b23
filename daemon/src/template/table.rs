//! All templates, by name and by digest.

use super::Template;
use super::spec::Spec;
use crate::daemon::Daemon;
use crate::events::Record;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::EventKind;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All templates.
#[derive(Debug)]
pub(crate) struct Templates {
    limit: AtomicUsize,
    table: Mutex<HashMap<String, Arc<Template>>>,
}

/// Whether a text is enough of a digest's beginning to stand for it.
pub(crate) fn is_beginning(text: &str, digest: &str) -> bool {
    const SHORTEST: usize = 6;
    text.len() >= SHORTEST
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && digest.starts_with(text)
}

/// The problem of a template nobody knows.
pub(crate) fn unknown(name: &str) -> Problem {
    let short: String = name.chars().take(80).collect();
    Problem::new(Reason::UnknownTemplate, format!("no template {short:?}")).with("template", short)
}

/// The problem of a name that several have, or none.
fn ambiguous(name: &str, several: &[Arc<Template>]) -> Problem {
    const SHOWN: usize = 10;
    if several.is_empty() {
        return unknown(name);
    }
    let mut labels: Vec<String> = several
        .iter()
        .map(|template| format!("{} {:.12}", template.display, template.label))
        .collect();
    labels.sort_unstable();
    let count = labels.len();
    labels.truncate(SHOWN);
    let mut labels = labels.join(", ");
    if count > SHOWN {
        labels.push_str(", ...");
    }
    Problem::new(
        Reason::UnknownTemplate,
        format!("{name:?} may be any of {count} templates: {labels}"),
    )
    .with("template", name)
}

impl Templates {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            table: Mutex::default(),
        }
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// A template known from the configuration.
    pub(crate) fn configure(&self, daemon: &Daemon, template: Template) {
        let registered = Record::of_template(EventKind::TemplateRegistered, &template);
        daemon.events.publish(registered);
        let label = template.label.clone();
        self.table().insert(label, Arc::new(template));
    }

    /// A template that the configuration has no more: it drains.
    pub(crate) fn unconfigure(&self, daemon: &Arc<Daemon>, name: &str) {
        let template = self.table().remove(name);
        if let Some(template) = template {
            template.remove(daemon);
        }
    }

    /// By name, by digest, by the beginning of a digest that only one has, or by the name of a
    /// registered program that only one has.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Template>, Problem> {
        let table = self.table();
        if let Some(template) = table.get(name) {
            return Ok(Arc::clone(template));
        }
        let matching = |matches: &dyn Fn(&Template) -> bool| -> Vec<Arc<Template>> {
            let matching = table.values().filter(|template| matches(template));
            matching.cloned().collect()
        };
        let mut found = matching(&|template| is_beginning(name, &template.spec().digest));
        if found.is_empty() {
            found = matching(&|template| !template.configured && template.display == name);
        }
        drop(table);
        // The old builds of a program that was rebuilt are on their way out.
        if found.iter().any(|template| !template.is_superseded()) {
            found.retain(|template| !template.is_superseded());
        }
        match <[Arc<Template>; 1]>::try_from(found) {
            Ok([template]) => Ok(template),
            Err(several) => Err(ambiguous(name, &several)),
        }
    }

    /// The template of a recipe; true when it is new.
    pub(crate) fn register(
        &self,
        daemon: &Arc<Daemon>,
        spec: Spec,
    ) -> Result<(Arc<Template>, bool), Problem> {
        let mut table = self.table();
        if let Some(template) = table.get(&spec.digest) {
            return Ok((Arc::clone(template), false));
        }
        let limit = self.limit.load(Ordering::Relaxed);
        if table.len() >= limit {
            // The one that nobody has used for longest makes room: a cold one, or else a warm one.
            let oldest = table
                .values()
                .filter(|template| !template.configured)
                .filter_map(|template| Some((template.idle()?, template.label.clone())))
                .max();
            match oldest.and_then(|(_, label)| table.remove(&label)) {
                Some(evicted) => evicted.remove(daemon),
                None => return Err(Problem::limit("limits.templates", limit)),
            }
        }
        let superseded: Vec<_> = table
            .values()
            .filter(|other| !other.configured && is_rebuilt(&other.spec(), &spec))
            .cloned()
            .collect();
        let template = Arc::new(Template::new(
            spec.digest.clone(),
            spec.file_name(),
            false,
            None,
            spec,
        ));
        table.insert(template.label.clone(), Arc::clone(&template));
        drop(table);
        let registered = Record::of_template(EventKind::TemplateRegistered, &template);
        daemon.events.publish(registered);
        for other in superseded {
            tracing::info!(
                template = other.display,
                digest = other.label,
                "its program was rebuilt: it drains"
            );
            other.supersede(daemon);
        }
        Ok((template, true))
    }

    /// Forgets a registered template.
    pub(crate) fn remove(&self, daemon: &Arc<Daemon>, name: &str) -> Result<(), Problem> {
        let template = self.get(name)?;
        if template.configured {
            let detail = match template.config() {
                Some(_) => "it is configured: take it out of the configuration",
                None => "it is built in",
            };
            return Err(Problem::bad_request("template", detail));
        }
        self.table().remove(&template.label);
        template.remove(daemon);
        Ok(())
    }

    /// All of them: configured ones first, then by name.
    pub(crate) fn all(&self) -> Vec<Arc<Template>> {
        let mut all: Vec<_> = self.table().values().cloned().collect();
        all.sort_by(|a, b| {
            (!a.configured, &a.display, &a.label).cmp(&(!b.configured, &b.display, &b.label))
        });
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.table().len()
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<Template>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `new` is another build of the same program, used in the same way.
fn is_rebuilt(old: &Spec, new: &Spec) -> bool {
    old.path == new.path && old.args == new.args && old.identity != new.identity
}
