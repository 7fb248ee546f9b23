//! What the crate offers hangs on contexts, and is offered by the crate itself for the default one.

use super::sources::{files, read};
use std::collections::BTreeSet;

/// Of contexts alone: what makes another one of it, and what it is.
const OF_CONTEXTS: [&str; 5] = [
    "asked_by_name",
    "start_method",
    "with_server",
    "with_socket",
    "with_threads",
];

/// Of the crate alone: of the platform, of functions that are passed, of a worker's own arguments, macros.
const OF_THE_CRATE: [&str; 10] = [
    "after_fork",
    "after_preload",
    "args_os",
    "at_worker_exit",
    "before_fork",
    "fallible",
    "get_all_start_methods",
    "main",
    "preload",
    "typed",
];

/// The public methods of `Context`, in files that are not another platform's.
fn methods() -> BTreeSet<String> {
    let mut methods = BTreeSet::new();
    for path in files("client/src", &["rs"]) {
        let source = read(&path);
        for block in source.split("\nimpl Context {\n").skip(1) {
            let (block, _) = block.split_once("\n}\n").unwrap();
            methods.extend(block.lines().filter_map(|line| {
                let line = line.strip_prefix("    pub ")?;
                let line = line.strip_prefix("async ").unwrap_or(line);
                let end = |c: char| !(c.is_alphanumeric() || c == '_');
                let (name, _) = line.strip_prefix("fn ")?.split_once(end)?;
                Some(name.to_owned())
            }));
        }
    }
    methods
}

/// The functions and macros that the crate's root offers.
fn functions() -> BTreeSet<String> {
    let root = read("client/src/lib.rs");
    let (root, _) = root.split_once("mod __private").unwrap();
    let uses = root.split("pub use ").skip(1);
    let names = uses.flat_map(|text| {
        let (path, _) = text.split_once(';').unwrap();
        let names = path.rsplit("::").next().unwrap().trim_matches(['{', '}']);
        let names = names
            .split(',')
            .map(|name| name.trim().trim_matches('}').trim().to_owned());
        names.collect::<Vec<_>>()
    });
    names
        .filter(|name| name.starts_with(|c: char| c.is_lowercase()))
        // A module under another name.
        .filter(|name| !name.contains(" as "))
        .collect()
}

#[test]
fn what_a_context_offers_the_crate_does_and_the_other_way_round() {
    let (mut methods, mut functions) = (methods(), functions());
    for name in OF_CONTEXTS {
        assert!(methods.remove(name), "{name}");
    }
    for name in OF_THE_CRATE {
        assert!(functions.remove(name), "{name}");
    }
    assert!(functions.contains("spawn_async") && functions.contains("server"));
    assert_eq!(methods, functions);
}
