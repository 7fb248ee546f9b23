//! A worker's environment: the steps it was given, applied to the zygote's.

use super::StartError;
use mpfork_proto::environment;
use mpfork_proto::v1::EnvDirective;
use mpfork_proto::v1::env_directive::Step;
use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt as _;

/// The new environment, as a block; `None` when nothing changes.
pub(super) fn build(mut steps: Vec<EnvDirective>) -> Result<Option<Vec<u8>>, StartError> {
    if let Some(EnvDirective {
        step: Some(Step::Replace(block)),
    }) = steps.last_mut()
    {
        // By far the most frequent: the whole environment, ready to be used.
        return Ok(Some(std::mem::take(block)));
    }
    if steps.is_empty() {
        return Ok(None);
    }
    let mut variables = Variables::default();
    // What comes before is not worth reading.
    let anew = steps
        .iter()
        .rposition(|step| matches!(step.step, Some(Step::Clear(_) | Step::Replace(_))));
    if anew.is_none() {
        for (name, value) in std::env::vars_os() {
            variables.set(&name.into_vec(), &value.into_vec())?;
        }
    }
    for step in &steps[anew.unwrap_or(0)..] {
        match &step.step {
            Some(Step::Set(set)) => variables.set(&set.name, &set.value)?,
            Some(Step::Remove(name)) => variables.remove(name),
            Some(Step::Clear(_)) => {}
            Some(Step::Replace(block)) => variables.set_all(block)?,
            None => {
                return Err(StartError::bad("environment", "a step is of no known kind"));
            }
        }
    }
    Ok(Some(
        variables.entries.into_iter().flatten().flatten().collect(),
    ))
}

/// This process's own, as a block.
pub(super) fn current() -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in std::env::vars_os() {
        environment::push(&mut block, &name.into_vec(), &value.into_vec());
    }
    block
}

/// Variables in the order in which they were first set.
#[derive(Default)]
struct Variables {
    /// As NAME=value with a NUL byte.
    entries: Vec<Option<Vec<u8>>>,
    indices: HashMap<Vec<u8>, usize>,
}

impl Variables {
    fn set_all(&mut self, block: &[u8]) -> Result<(), StartError> {
        for entry in environment::entries(block) {
            let end = entry.iter().position(|byte| *byte == b'=');
            let (name, value) = entry.split_at(end.unwrap_or(entry.len()));
            self.set(name, value.get(1..).unwrap_or_default())?;
        }
        Ok(())
    }

    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), StartError> {
        let bad = |why: &str| {
            let name = String::from_utf8_lossy(name).into_owned();
            StartError::bad("environment", format!("variable {name:?} {why}"))
        };
        if name.is_empty() || name.contains(&b'=') {
            return Err(bad("has a name no variable can have"));
        }
        if name.contains(&0) || value.contains(&0) {
            return Err(bad("contains a zero byte"));
        }
        let mut entry = Vec::new();
        environment::push(&mut entry, name, value);
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
        let built = build(steps.into()).unwrap().unwrap();
        assert_eq!(built, b"B=2\0C=\0A=again\0");
        assert!(build(Vec::new()).unwrap().is_none());
    }

    #[test]
    fn a_whole_environment_may_be_changed_too() {
        let block = || step(Step::Replace(b"A=1\0B=2\0".to_vec()));
        let built = |steps: Vec<EnvDirective>| build(steps).unwrap().unwrap();
        assert_eq!(built(vec![set("LOST", "1"), block()]), b"A=1\0B=2\0");
        let steps = vec![block(), set("B", "3"), step(Step::Remove(b"A".to_vec()))];
        assert_eq!(built(steps), b"B=3\0");
    }

    #[test]
    fn without_clear_it_is_added_to_the_zygotes() {
        let built = build(vec![set("MPFORK_TEST_ADDED", "1")]).unwrap().unwrap();
        let count = environment::entries(&built).count();
        assert_eq!(count, std::env::vars_os().count() + 1);
    }

    #[test]
    fn impossible_names() {
        for (name, value) in [("", "x"), ("A=B", "x"), ("A", "x\0y")] {
            assert!(build(vec![set(name, value)]).is_err());
        }
    }
}
