//! Plain text for people. Nothing in it is wider than it must be, and nothing the daemon says can
//! write control sequences to the terminal.

mod columns;
mod compaction;
mod news;
mod status;
mod template;
mod text;
mod top;
mod units;
mod worker;

pub(crate) use news::news;
pub(crate) use status::status;
pub(crate) use template::{template, templates};
pub(crate) use text::{fit, line, lines};
pub(crate) use top::top;
pub(crate) use units::{bytes, duration};
pub(crate) use worker::workers;

/// The page's width.
pub(crate) const WIDTH: usize = 100;
