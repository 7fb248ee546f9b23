//! The daemon's API as it is: a typed client with one method for each call. Async; [`block_on`]
//! drives it from ordinary code.
//!
//! [`Context`](crate::Context) and all that hangs on it is made from this. It is for tools that want
//! the daemon itself, such as `mpctl`.
//!
//! ```no_run
//! use mpfork::api::{Client, block_on};
//! # fn main() -> Result<(), mpfork::Error> {
//! let client = block_on(Client::connect(None))?;
//! let status = block_on(client.get_status())?;
//! println!("{} workers run", status.workers.unwrap_or_default().running);
//! # Ok(())
//! # }
//! ```

mod attach;
mod connect;
mod describe;
mod drain;
mod get_status;
mod get_template;
mod get_worker;
mod latch;
mod list_templates;
mod list_workers;
mod pump;
mod read_logs;
mod register_template;
mod relayed;
mod reload_template;
mod remove_template;
mod request;
mod result_channel;
mod run_worker;
mod set_log_filter;
mod shutdown;
mod signal_worker;
mod start_worker;
mod wait_worker;
mod warm_template;
mod watch_events;

pub use crate::runtime::block_on;
pub use crate::state::{StartState, Stdio};
pub use attach::{Attached, Input, Output};
pub use connect::Client;
pub use describe::{Description, describe};
pub use drain::{DrainRequest, Draining};
pub use mpfork_sys::limits::Rlimit;
pub use read_logs::{LogSource, Logs};
pub use register_template::{Program, TemplateRequest};
pub use relayed::Relayed;
pub use request::{Function, OnOwnerDeath, Task, WorkerRequest};
pub use result_channel::ResultChannel;
pub use run_worker::Running;
pub use start_worker::Started;
pub use warm_template::Warming;
pub use watch_events::Events;

pub(crate) use request::proto_duration;
