//! Memory is backed as the system likes.

use crate::memory::{Mapping, Plugged, Supply, Totals};
use std::io;
use std::ops::Range;

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn huge_page_size() -> Option<usize> {
    None
}

pub(crate) fn advise_huge(_range: &Range<usize>) -> io::Result<()> {
    unsupported()
}

pub(crate) fn advise_small(_range: &Range<usize>) -> io::Result<()> {
    unsupported()
}

pub(crate) fn collapse(_range: &Range<usize>) -> io::Result<()> {
    unsupported()
}

pub(crate) fn present_bytes(_range: &Range<usize>) -> io::Result<usize> {
    unsupported()
}

pub(crate) fn probe_collapse() -> io::Result<()> {
    unsupported()
}

pub(crate) fn mappings() -> io::Result<Vec<Mapping>> {
    unsupported()
}

pub(crate) fn totals() -> io::Result<Totals> {
    unsupported()
}

pub(crate) fn about_private_bytes() -> u64 {
    0
}

pub(crate) fn supplies() -> Vec<Supply> {
    Vec::new()
}

pub(crate) fn trim_heap() -> io::Result<()> {
    unsupported()
}

pub(crate) fn keep_heap_small() -> io::Result<()> {
    unsupported()
}

pub(crate) fn plug_heap(_is_over: &dyn Fn() -> bool) -> io::Result<Plugged> {
    unsupported()
}

pub(crate) fn lay_out_arena(_bytes: usize, _boundary: usize) -> io::Result<Range<usize>> {
    unsupported()
}
