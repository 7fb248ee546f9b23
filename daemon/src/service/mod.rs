//! What mpforkd does when a service manager runs it: tells how it is, keeps the watchdog quiet, serves a
//! socket it was passed, logs to the journal. By systemd's protocols, which others speak too.

pub(crate) mod activation;
pub(crate) mod journal;
pub(crate) mod manager;
mod notify;
pub(crate) mod records;
