//! What `deploy/SECURITY.md` names is there, and every bound is named.

use super::sources::{read, root};

const PAGE: &str = "deploy/SECURITY.md";

#[test]
fn the_tests_that_it_names_are_there() {
    let page = read(PAGE);
    let brackets = page
        .split('[')
        .skip(1)
        .map(|rest| rest.split(']').next().unwrap());
    let mut named = 0;
    for name in brackets.flat_map(|names| names.split('`').skip(1).step_by(2)) {
        let there = ["tests/tests", ""]
            .iter()
            .any(|folder| root().join(folder).join(name).exists());
        assert!(there, "{name}");
        named += 1;
    }
    assert!(named > 10, "{named}");
}

#[test]
fn every_limit_is_named_and_there_is_each_that_is_named() {
    let page = read(PAGE);
    let limits = read("daemon/src/config/limits.rs");
    let (_, limits) = limits.split_once("pub struct Limits {").unwrap();
    let (limits, _) = limits.split_once("\n}").unwrap();
    let fields = limits
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next());
    let fields: Vec<&str> = fields.collect();
    assert!(fields.len() > 5);
    for field in &fields {
        assert!(page.contains(&format!("`limits.{field}`")), "{field}");
    }
    for named in page.split("`limits.").skip(1) {
        let named = named.split('`').next().unwrap();
        assert!(fields.contains(&named), "{named}");
    }
}
