//! Reading the configuration again: templates, limits and times while mpforkd runs. A file that is wrong
//! changes nothing.

use crate::config::{Config, ConfigError, TemplateConfig};
use crate::daemon::Daemon;
use crate::service::manager::summary;
use crate::template::{Template, spec::Spec};
use anyhow::Context as _;
use std::sync::Arc;

/// Reads the file again and applies what it says; tells the log, the service manager and, by the
/// settings, `mpctl status` how that went.
pub(crate) async fn reload(daemon: &Arc<Daemon>) {
    const ENDING: &str = "SIGHUP: mpforkd is ending, nothing is reloaded";
    if daemon.is_shutting_down() {
        tracing::info!("{ENDING}");
        return;
    }
    daemon.manager.reloading();
    tracing::info!("SIGHUP: reading the configuration");
    // Programs that have no build id are hashed: that takes as long as reading them whole.
    let reader = Arc::clone(daemon);
    let read = tokio::task::spawn_blocking(move || read(&reader)).await;
    if daemon.is_shutting_down() {
        tracing::info!("{ENDING}");
        return;
    }
    match read.unwrap_or_else(|error| Err(error.into())) {
        Ok(None) => tracing::info!("SIGHUP: there is no configuration file to read again"),
        Ok(Some(plan)) => plan.apply(daemon),
        Err(error) => {
            let error = match error.downcast_ref::<ConfigError>() {
                Some(error) => error.in_one_line(),
                None => format!("{error:#}"),
            };
            tracing::error!(%error, "the configuration is not reloaded, what was read before holds");
            daemon.settings.refused(error);
        }
    }
    daemon.manager.ready(&summary(daemon));
}

/// What is to change, checked so far that applying it can't fail.
struct Plan {
    config: Config,
    pending: Vec<String>,
    removed: Vec<String>,
    changed: Vec<(Arc<Template>, Arc<TemplateConfig>, Spec)>,
    added: Vec<Template>,
}

fn read(daemon: &Daemon) -> anyhow::Result<Option<Plan>> {
    let Some(path) = daemon.settings.path() else {
        return Ok(None);
    };
    let mut config = Config::read(path)?;
    crate::run::limit_workers(&mut config);
    config.warn();
    let present = daemon.config();
    let mut plan = Plan {
        pending: keep_fixed(&mut config, &present),
        removed: Vec::new(),
        changed: Vec::new(),
        added: Vec::new(),
        config,
    };
    for name in present.templates.keys() {
        if !plan.config.templates.contains_key(name) {
            plan.removed.push(name.clone());
        }
    }
    for (name, new) in &plan.config.templates {
        if present.templates.get(name) == Some(new) {
            continue;
        }
        let spec = Spec::from_config(new, &daemon.identities)
            .with_context(|| format!("template {name}"))?;
        let new = Arc::new(new.clone());
        if present.templates.contains_key(name) {
            plan.changed.push((daemon.templates.get(name)?, new, spec));
        } else {
            let template = Template::new(name.clone(), name.clone(), true, Some(new), spec);
            plan.added.push(template);
        }
    }
    Ok(Some(plan))
}

/// What only a restart applies stays as it is, and is told.
fn keep_fixed(new: &mut Config, present: &Config) -> Vec<String> {
    let mut pending = Vec::new();
    if new.socket != present.socket {
        pending.push("socket");
        new.socket.clone_from(&present.socket);
    }
    if new.log != present.log {
        pending.push("log");
        new.log.clone_from(&present.log);
    }
    if new.metrics != present.metrics {
        pending.push("metrics");
        new.metrics.clone_from(&present.metrics);
    }
    pending.into_iter().map(str::to_owned).collect()
}

impl Plan {
    fn apply(self, daemon: &Arc<Daemon>) {
        for name in &self.pending {
            tracing::warn!("the configuration has another {name}: a restart applies it");
        }
        let limits = &self.config.limits;
        daemon.workers.set_limits(limits);
        daemon.files.set_spares(limits.spares);
        daemon.peers.set_limit(limits.connections);
        daemon.templates.set_limit(limits.templates);
        daemon.events.set_limits(limits);
        daemon.kept.set_limit(limits.kept_output_total);
        let counts = (self.added.len(), self.changed.len(), self.removed.len());
        daemon.settings.replace(self.config, self.pending);
        for name in &self.removed {
            tracing::info!(template = name, "configured no more: it drains");
            daemon.templates.unconfigure(daemon, name);
        }
        for (template, config, spec) in self.changed {
            tracing::info!(template = template.display, "its configuration was changed");
            template.reconfigure(daemon, config, spec);
        }
        for template in self.added {
            tracing::info!(template = template.display, "configured");
            daemon.templates.configure(daemon, template);
        }
        // While starts are refused nothing can be warmed; when a drain is undone all of it is.
        if daemon.accepting().is_ok() {
            crate::run::warm_configured(daemon);
        }
        let (added, changed, removed) = counts;
        tracing::info!(added, changed, removed, "the configuration was read again");
    }
}
