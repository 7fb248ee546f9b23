//! A worker's environment: the steps it was given, applied to the zygote's.

use super::StartError;
use mpfork_proto::v1::EnvDirective;
use mpfork_proto::v1::env_directive::Step;
use std::collections::HashMap;
use std::ffi::CString;
use std::os::unix::ffi::OsStringExt as _;

/// The new environment, as NAME=value; `None` when nothing changes.
pub(super) fn build(steps: &[EnvDirective]) -> Result<Option<Vec<CString>>, StartError> {
    if steps.is_empty() {
        return Ok(None);
    }
    let mut variables = Variables::default();
    // Not worth reading when it is to be cleared.
    let cleared = steps
        .iter()
        .rposition(|step| matches!(step.step, Some(Step::Clear(_))));
    if cleared.is_none() {
        for (name, value) in std::env::vars_os() {
            variables.set(&name.into_vec(), &value.into_vec())?;
        }
    }
    for step in &steps[cleared.map_or(0, |index| index + 1)..] {
        match &step.step {
            Some(Step::Set(set)) => variables.set(&set.name, &set.value)?,
            Some(Step::Remove(name)) => variables.remove(name),
            Some(Step::Clear(_)) => {}
            None => {
                return Err(StartError::bad("environment", "a step is of no known kind"));
            }
        }
    }
    Ok(Some(variables.entries.into_iter().flatten().collect()))
}

/// Variables in the order in which they were first set.
#[derive(Default)]
struct Variables {
    entries: Vec<Option<CString>>,
    indices: HashMap<Vec<u8>, usize>,
}

impl Variables {
    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), StartError> {
        let bad = |why: &str| {
            let name = String::from_utf8_lossy(name).into_owned();
            StartError::bad("environment", format!("variable {name:?} {why}"))
        };
        if name.is_empty() || name.contains(&b'=') {
            return Err(bad("has a name no variable can have"));
        }
        let mut entry = Vec::with_capacity(name.len() + 1 + value.len());
        entry.extend_from_slice(name);
        entry.push(b'=');
        entry.extend_from_slice(value);
        let entry = CString::new(entry).map_err(|_| bad("contains a zero byte"))?;
        if let Some(index) = self.indices.get(name) {
            self.entries[*index] = Some(entry);
        } else {
            self.indices.insert(name.to_vec(), self.entries.len());
            self.entries.push(Some(entry));
        }
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some(index) = self.indices.remove(name) {
            self.entries[index] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpfork_proto::v1::env_directive::{Clear, Set};

    fn set(name: &str, value: &str) -> EnvDirective {
        EnvDirective {
            step: Some(Step::Set(Set {
                name: name.into(),
                value: value.into(),
            })),
        }
    }

    fn step(step: Step) -> EnvDirective {
        EnvDirective { step: Some(step) }
    }

    #[test]
    fn steps_in_order() {
        let steps = [
            set("LOST", "1"),
            step(Step::Clear(Clear {})),
            set("B", "1"),
            set("A", "x=y"),
            set("B", "2"),
            set("C", ""),
            step(Step::Remove(b"A".to_vec())),
            set("A", "again"),
        ];
        let built = build(&steps).unwrap().unwrap();
        let built: Vec<_> = built.iter().map(|entry| entry.to_str().unwrap()).collect();
        assert_eq!(built, ["B=2", "C=", "A=again"]);
        assert!(build(&[]).unwrap().is_none());
    }

    #[test]
    fn without_clear_it_is_added_to_the_zygotes() {
        let built = build(&[set("MPFORK_TEST_ADDED", "1")]).unwrap().unwrap();
        assert_eq!(built.len(), std::env::vars_os().count() + 1);
    }

    #[test]
    fn impossible_names() {
        for (name, value) in [("", "x"), ("A=B", "x"), ("A", "x\0y")] {
            assert!(build(&[set(name, value)]).is_err());
        }
    }
}
