//! A connection that is kept, with what was registered on it. One for each runtime and socket.

use crate::api::{Client, Function, Task, TemplateRequest};
use crate::driven::drives;
use crate::error::Error;
use crate::freeze;
use crate::runtime::State;
use crate::settings::{self, Preloads};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use tokio::runtime::{Handle, Id};

/// The sessions of one process.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<Key, Slot>>);

type Key = (Id, Option<Arc<Path>>);
/// Locked while connecting, so that those who come meanwhile wait for the same connection.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Session>>>>;

/// A connection and the runtime it lives in.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) runtime: Id,
    /// The last one used.
    own_template: Mutex<Option<(Recipe, Arc<str>)>>,
}

/// What a program may choose of its own template.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Recipe {
    executable: Option<PathBuf>,
    preloads: Preloads,
    /// Functions are found in it by their place, so it must be this very program.
    by_place: bool,
}

impl Recipe {
    fn of(task: &Task) -> Self {
        let executable = settings::executable_path();
        let by_place = matches!(
            task,
            Task::Function {
                function: Function::Offset(_),
                ..
            }
        );
        Self {
            // Where it is the program itself that makes no difference.
            by_place: by_place && executable.is_some(),
            executable,
            preloads: settings::preloads(),
        }
    }
}

/// The runtime that is driving the caller.
pub(crate) fn current_runtime() -> Result<Id, Error> {
    const WHY: &str =
        "use the blocking form, or await it within a runtime that has I/O and time enabled";
    let unsupported = |what: &str| Error::Unsupported {
        what: what.to_owned(),
        why: WHY,
    };
    let Ok(handle) = Handle::try_current() else {
        return Err(unsupported("an async call outside of a tokio runtime"));
    };
    match drives(handle.id()) {
        true => Ok(handle.id()),
        false => Err(unsupported(
            "an async call on a tokio runtime that has I/O or time disabled",
        )),
    }
}

impl Session {
    /// The session of this runtime with this socket's daemon; a new one where there is none or the
    /// old one is dead.
    pub(crate) async fn get(socket: Option<&Arc<Path>>) -> Result<Arc<Self>, Error> {
        let runtime = current_runtime()?;
        let slot = State::current().sessions.slot((runtime, socket.cloned()));
        let known = slot.lock().await.clone();
        if let Some(session) = known {
            // Nobody may have driven the runtime for a while: let it see what has happened since.
            if session.client.connection.has_news() {
                for _ in 0..2 {
                    tokio::task::yield_now().await;
                }
            }
            if !session.client.is_closed() {
                return Ok(session);
            }
        }
        let mut known = slot.lock().await;
        // Another caller may have been faster.
        if let Some(session) = known.as_ref().filter(|s| !s.client.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let client = Client::connect(socket.map(|socket| &**socket)).await?;
        if !client.carries_descriptors() {
            tell_once(&client);
        }
        let session = Arc::new(Self {
            client,
            runtime,
            own_template: Mutex::new(None),
        });
        *known = Some(Arc::clone(&session));
        drop(known);
        Ok(session)
    }

    /// The digest of this program's own template for such a task, registered on this connection before
    /// it is used.
    pub(crate) async fn own_template(&self, task: &Task) -> Result<Arc<str>, Error> {
        freeze::check()?;
        let recipe = Recipe::of(task);
        let known = self.template().clone();
        if let Some((of, digest)) = known
            && of == recipe
        {
            return Ok(digest);
        }
        let program = match recipe.by_place {
            true => settings::executable_with_functions()?,
            false => settings::executable()?,
        };
        let mut request = TemplateRequest::new(program).with_own_env(mpfork_zygote::declared_env());
        request.args = freeze::template_args();
        request.preloads.clone_from(&recipe.preloads.names);
        request.on_preload_error = recipe.preloads.on_error;
        let registered = self.client.register_template(&request).await?;
        let digest = Arc::from(registered.digest);
        *self.template() = Some((recipe, Arc::clone(&digest)));
        Ok(digest)
    }

    /// The daemon has forgotten this digest.
    pub(crate) fn forget_template(&self, digest: &str) {
        let mut template = self.template();
        if template
            .as_ref()
            .is_some_and(|(_, known)| &**known == digest)
        {
            *template = None;
        }
    }

    fn template(&self) -> MutexGuard<'_, Option<(Recipe, Arc<str>)>> {
        let template = self.own_template.lock();
        template.unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is not as usual, told once.
fn tell_once(client: &Client) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::warn!(
            socket = %client.socket().display(),
            "descriptors do not pass on the connection to mpforkd, as through a relay: workers' \
             streams and results are relayed by this process"
        );
    });
}

impl Sessions {
    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return Arc::clone(slot);
        }
        // Runtimes come and go: their sessions are dead with them.
        slots.retain(|_, slot| match slot.try_lock() {
            Ok(session) => session.as_ref().is_some_and(|s| !s.client.is_closed()),
            Err(_) => true,
        });
        Arc::clone(slots.entry(key).or_default())
    }
}
