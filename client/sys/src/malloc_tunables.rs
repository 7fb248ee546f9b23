//! The GNU C library's malloc told by a program's environment to use huge pages.
//!
//! What is added to the variable is known by a mark, so that the program can restore it: what it executes
//! or forks is to see the variable as it was.

use crate::threads::ManyThreads;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

const VARIABLE: &str = "GLIBC_TUNABLES";
/// What decides it.
const TUNABLE: &[u8] = b"glibc.malloc.hugetlb=";
/// What is added: a tunable that the library does not know and passes over, which is the mark, and the
/// one that has malloc ask for huge pages.
const ADDED: &[u8] = b"mpfork.launched=1:glibc.malloc.hugetlb=1";

/// An entry of an environment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Which one it replaces; none when it is added.
    pub(crate) index: Option<usize>,
    pub(crate) entry: CString,
}

/// What to change in an environment so that malloc uses huge pages; nothing when it says by itself
/// what malloc is to do.
pub(crate) fn with_huge_pages(env: &[CString]) -> Option<Entry> {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return None;
    }
    let value = |entry: &'_ CString| -> Option<Vec<u8>> {
        let rest = entry.as_bytes().strip_prefix(VARIABLE.as_bytes())?;
        Some(rest.strip_prefix(b"=")?.to_vec())
    };
    let values: Vec<_> = env.iter().map(value).collect();
    let says = |value: &Vec<u8>| value.split(|byte| *byte == b':').any(is_the_tunable);
    if values.iter().flatten().any(says) {
        return None;
    }
    let index = values.iter().position(Option::is_some);
    let mut entry = [VARIABLE.as_bytes(), b"="].concat();
    if let Some(value) = index.and_then(|index| values.get(index)?.as_ref()) {
        entry.extend_from_slice(value);
        entry.push(b':');
    }
    entry.extend_from_slice(ADDED);
    let entry = CString::new(entry).ok()?;
    Some(Entry { index, entry })
}

fn is_the_tunable(entry: &[u8]) -> bool {
    entry.starts_with(TUNABLE)
}

/// Takes out of this process's environment what its launch has added.
///
/// # Errors
/// When the process has other threads, which might read the environment meanwhile.
pub fn restore() -> Result<(), ManyThreads> {
    let Some(value) = std::env::var_os(VARIABLE) else {
        return Ok(());
    };
    let Some(before) = without_added(&value) else {
        return Ok(());
    };
    match before {
        Some(before) => crate::env::set(VARIABLE, &before),
        None => crate::env::take(VARIABLE).map(drop),
    }
}

/// The value without what was added, if something was: nothing when there was no variable.
fn without_added(value: &OsStr) -> Option<Option<OsString>> {
    let before = value.as_bytes().strip_suffix(ADDED)?;
    match before.strip_suffix(b":") {
        Some(before) => Some(Some(OsString::from_vec(before.to_vec()))),
        None if before.is_empty() => Some(None),
        // It ends like this by itself.
        None => None,
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    fn changed(env: &[&str]) -> Option<(Option<usize>, String)> {
        let env: Vec<_> = env.iter().map(|e| CString::new(*e).unwrap()).collect();
        let entry = with_huge_pages(&env)?;
        Some((entry.index, entry.entry.into_string().unwrap()))
    }

    #[test]
    fn what_was_added_is_taken_out_again() {
        for (env, place) in [
            (&["A=1", "B=2"][..], None),
            (&["A=1", "GLIBC_TUNABLES="], Some(1)),
            (&["GLIBC_TUNABLES=glibc.malloc.check=3", "A=1"], Some(0)),
        ] {
            let (index, entry) = changed(env).unwrap();
            assert_eq!(index, place);
            assert!(entry.ends_with(":glibc.malloc.hugetlb=1"), "{entry}");
            let value = entry.strip_prefix("GLIBC_TUNABLES=").unwrap();
            let before = without_added(OsStr::new(value)).unwrap();
            let before = before.map(|value| format!("GLIBC_TUNABLES={}", value.display()));
            assert_eq!(before.as_deref(), index.map(|index| env[index]));
        }
    }

    #[test]
    fn what_the_user_says_of_it_holds() {
        for value in ["glibc.malloc.hugetlb=0", "a=1:glibc.malloc.hugetlb=2:b=2"] {
            assert_eq!(changed(&[&format!("GLIBC_TUNABLES={value}")]), None);
            assert_eq!(without_added(OsStr::new(value)), None);
        }
        // Another tunable, though its name begins so.
        assert!(changed(&["GLIBC_TUNABLES=glibc.malloc.hugetlb_other=1"]).is_some());
    }
}
