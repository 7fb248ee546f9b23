//! What a context is bound to, and what it gives of the process at large: the same on all platforms.

use crate::context::Context;
use crate::current::CurrentProcess;
use crate::error::Error;
use crate::method::StartMethod;
use crate::parent::ParentProcess;
use crate::process::Process;

impl Context {
    /// Its start method. Mirrors `get_start_method` of a context.
    #[must_use]
    pub fn start_method(&self) -> StartMethod {
        self.chosen.method
    }

    /// Whether somebody asked for its start method, the program by its name or the operator by
    /// `MPFORK_START_METHOD`: such a method is never replaced with another one. The platform's own
    /// default may be, where it can't be had.
    #[must_use]
    pub fn asked_by_name(&self) -> bool {
        self.chosen.by_name
    }

    /// Its start method, whatever `allow_none` says: a context always has one. Mirrors
    /// `get_start_method(allow_none)` of a context.
    #[must_use]
    pub fn get_start_method(&self, _allow_none: bool) -> Option<StartMethod> {
        Some(self.start_method())
    }

    /// Always an error: a context stays bound to its start method. Mirrors
    /// `set_start_method(method, force)` of a context.
    ///
    /// # Errors
    /// [`Error::ConcreteContext`].
    pub fn set_start_method(
        &self,
        _method: impl Into<Option<StartMethod>>,
        _force: bool,
    ) -> Result<(), Error> {
        Err(Error::ConcreteContext {
            method: self.start_method(),
        })
    }

    /// The context of a start method, as [`get_context`](crate::get_context) gives it; with `None`
    /// this context itself. Mirrors `get_context(method)` of a context.
    ///
    /// # Errors
    /// [`Error::NoStartMethod`] when the platform lacks the method.
    pub fn get_context(&self, method: impl Into<Option<StartMethod>>) -> Result<Self, Error> {
        match method.into() {
            Some(method) => crate::get_context(method),
            None => Ok(self.clone()),
        }
    }

    /// As [`active_children`](crate::active_children): those of all contexts.
    #[must_use]
    pub fn active_children(&self) -> Vec<Process> {
        crate::active_children()
    }

    /// As [`current_process`](crate::current_process).
    #[must_use]
    pub fn current_process(&self) -> CurrentProcess {
        crate::current_process()
    }

    /// As [`parent_process`](crate::parent_process).
    #[must_use]
    pub fn parent_process(&self) -> Option<ParentProcess> {
        crate::parent_process()
    }

    /// As [`cpu_count`](crate::cpu_count).
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn cpu_count(&self) -> Result<usize, Error> {
        crate::cpu_count()
    }
}
