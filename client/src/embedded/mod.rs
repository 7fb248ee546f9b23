//! The embedded server: a private zygote of this program, driven over the same link as mpforkd's. It is
//! executed on first use and again when it has died, and ends with its owner.
//!
//! Start method `spawn` has one too, without preloads: it executes the program for each worker, and is
//! what reaps workers, keeps their limits and ends them with their owner.
//!
//! Nothing is changed in the process it serves but that it has one child more: no thread, no signal
//! handler, no other child is waited for.

mod launch;
mod link;
mod server;
mod start;

use crate::error::Error;
use crate::method::StartMethod;
use crate::runtime::State;
use crate::settings::{self, Preloads};
use server::Own;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use launch::program_name;
pub(crate) use start::{Made, Supervised, first_reports, start};

/// Which server: what one has loaded is of no use to who wants something else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    /// It executes the program for each worker, and loads nothing.
    fresh: bool,
    /// The program that is executed instead of this one.
    executable: Option<PathBuf>,
    preloads: Preloads,
    /// What it has loaded is moved into huge pages.
    compact: bool,
    /// The variables that preloads declare, with the values they are loaded with.
    env: Vec<(String, Option<OsString>)>,
}

impl Kind {
    /// The one that a start method uses.
    pub(crate) fn of(method: StartMethod) -> Result<Self, Error> {
        crate::freeze::check()?;
        let executable = settings::executable_path();
        if method == StartMethod::Spawn {
            return Ok(Self {
                fresh: true,
                executable,
                preloads: Preloads {
                    names: Some(Vec::new()),
                    ..Preloads::default()
                },
                compact: false,
                env: Vec::new(),
            });
        }
        let value = |name: &str| (name.to_owned(), std::env::var_os(name));
        let declared = mpfork_zygote::declared_env();
        Ok(Self {
            fresh: false,
            executable,
            preloads: settings::preloads(),
            compact: settings::compacts(),
            env: declared.into_iter().map(value).collect(),
        })
    }
}

/// The servers of one process.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    slots: Mutex<HashMap<Kind, Slot>>,
    /// Those that make no workers any more, but may have some; whether they were told.
    retired: Mutex<Vec<(Arc<Own>, bool)>>,
}

/// Locked while one is launched, so that those who come meanwhile wait for the same.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Own>>>>;

impl Servers {
    fn slots(&self) -> MutexGuard<'_, HashMap<Kind, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retired(&self) -> MutexGuard<'_, Vec<(Arc<Own>, bool)>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server of this kind; launched where there is none or it is gone. Others of its method, which
    /// were to load something else, leave when their workers have ended.
    async fn get(&self, kind: &Kind) -> Result<Arc<Own>, Error> {
        let slot = Arc::clone(self.slots().entry(kind.clone()).or_default());
        let mut known = slot.lock().await;
        self.see_to_retired();
        if let Some(own) = known.as_ref().filter(|own| own.is_there()) {
            return Ok(Arc::clone(own));
        }
        // The zygote of a worker's own server, if that has loaded the same.
        let own = match server::through_door(kind).await? {
            Some(own) => own,
            None => launch::launch(kind).await?,
        };
        *known = Some(Arc::clone(&own));
        drop(known);
        self.retire_others(kind);
        Ok(own)
    }

    fn retire_others(&self, kind: &Kind) {
        let mut retired = Vec::new();
        self.slots().retain(|other, slot| {
            if other == kind || other.fresh != kind.fresh {
                return true;
            }
            // Whoever launches one just now keeps it.
            if let Ok(mut own) = slot.try_lock() {
                retired.extend(own.take().map(|own| (own, false)));
            }
            // A place that nobody has in hand is of no more use.
            Arc::strong_count(slot) > 1
        });
        self.retired().extend(retired);
        self.see_to_retired();
    }

    /// Tells those that were not told yet, and forgets those that have left.
    fn see_to_retired(&self) {
        self.retired().retain_mut(|(own, told)| {
            *told = *told || own.retire();
            own.is_needed()
        });
    }
}

/// Whether one with preloads has been launched by this process, or one has made this worker.
pub(crate) fn is_running() -> bool {
    let state = State::current();
    let slots = state.servers.slots();
    let mut preloaded = slots.iter().filter(|(kind, _)| !kind.fresh);
    let launched = preloaded.any(|(_, slot)| {
        slot.try_lock()
            .is_ok_and(|own| own.as_ref().is_some_and(|own| own.is_there()))
    });
    drop(slots);
    launched || (mpfork_zygote::door().is_some() && !server::made_by_spawn())
}

/// Ends this process's servers, when the process is about to end and thread-locals are gone.
pub(crate) fn leave() {
    let state = State::current();
    let slots: Vec<Slot> = state.servers.slots().values().map(Arc::clone).collect();
    for (own, _) in &*state.servers.retired() {
        own.leave();
    }
    for slot in slots {
        // Whoever launches one just now loses it with the process.
        if let Ok(own) = slot.try_lock()
            && let Some(own) = &*own
        {
            own.leave();
        }
    }
}

/// The server of this kind, launched unless it was before.
pub(crate) async fn server(kind: Kind) -> Result<crate::server::Server, Error> {
    let own = State::current().servers.get(&kind).await?;
    Ok(own.shown())
}
