//! A configured template's program, read again when another file is in its place. Telling what it is may
//! take seconds, where its code is hashed: that is done on a thread that may block, once at a time.

use super::identity::FileVersion;
use super::lifecycle::REBUILT;
use super::spec::Spec;
use super::{Phase, Template};
use crate::config::TemplateConfig;
use crate::daemon::Daemon;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use std::sync::Arc;

/// Opens a configured template's program and tells what it is.
pub(super) async fn read_spec(
    daemon: &Arc<Daemon>,
    config: &Arc<TemplateConfig>,
) -> Result<Spec, Problem> {
    let (daemon, config) = (Arc::clone(daemon), Arc::clone(config));
    let read = tokio::task::spawn_blocking(move || Spec::from_config(&config, &daemon.identities));
    read.await.unwrap_or_else(|error| {
        let message = "reading the program was interrupted";
        Err(Problem::new(Reason::Internal, message).with("detail", error))
    })
}

impl Template {
    /// Whether another file is in the place of its program.
    pub(super) fn is_replaced(&self) -> bool {
        let state = self.state();
        let (config, version) = (state.config.clone(), state.spec.version);
        drop(state);
        let Some(config) = config else {
            return false;
        };
        match std::fs::metadata(&config.program) {
            Ok(metadata) => FileVersion::from(&metadata) != version,
            // Removed or being replaced: what is open goes on.
            Err(_) => false,
        }
    }

    /// A configured template whose program was rebuilt gets a new zygote; the old one drains.
    pub(super) async fn follow_program(self: &Arc<Self>, daemon: &Arc<Daemon>) {
        let (template, daemon) = (Arc::clone(self), Arc::clone(daemon));
        // In a task of its own: a caller that gives up must not have the next one read it once more.
        let followed = tokio::spawn(async move {
            let _one = template.following.lock().await;
            // Whoever came first may have done it.
            if template.is_replaced()
                && let Some(config) = template.config()
            {
                let read = read_spec(&daemon, &config).await;
                template.follow(&daemon, &config, read);
            }
        });
        // It ends by itself, unless the daemon does.
        let _ = followed.await;
    }

    fn follow(
        self: &Arc<Self>,
        daemon: &Arc<Daemon>,
        config: &Arc<TemplateConfig>,
        read: Result<Spec, Problem>,
    ) {
        let spec = match read {
            Ok(spec) => spec,
            Err(problem) => {
                tracing::warn!(template = self.display, %problem, "its program was replaced, but can't be used");
                return;
            }
        };
        let mut state = self.state();
        let current = state.config.as_ref().map(Arc::as_ptr) == Some(Arc::as_ptr(config));
        if !current {
            // Configured anew meanwhile, and read then.
            return;
        }
        let rebuilt = state.spec.digest != spec.digest;
        if rebuilt && matches!(state.phase, Phase::Warming) {
            // The one being warmed serves this time; the next start looks again.
            return;
        }
        state.spec = spec;
        if rebuilt && !matches!(state.phase, Phase::Warm(_)) {
            state.phase = Phase::Cold;
            state.failures = 0;
        }
        drop(state);
        if rebuilt {
            tracing::info!(template = self.display, "its program was rebuilt");
            self.cool(daemon, REBUILT);
        }
    }
}
