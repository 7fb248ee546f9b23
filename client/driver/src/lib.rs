//! What both drivers of a zygote share, `mpforkd` and a program's embedded server: starts checked
//! ([`start`]), the worker's own socket ([`control`]), and the words for what fails ([`failed`]), so
//! that the same mistake is the same error in both.
#![forbid(unsafe_code)]
#![cfg(unix)]

mod check;
pub mod control;
pub mod duration;
pub mod exit;
pub mod failed;
pub mod start;
pub mod state;
pub mod task;
