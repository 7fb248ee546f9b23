//! Where files are, and how long.

use super::sources::{files, read, root};

const TOP: [&str; 11] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "client",
    "daemon",
    "deploy",
    "proto",
    "tests",
];

#[test]
fn the_top_has_only_what_belongs_there() {
    for entry in std::fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // `target` is what is built.
        let known = TOP.contains(&name.as_str()) || name.starts_with('.') || name == "target";
        assert!(known, "{name}");
    }
    for name in TOP {
        assert!(root().join(name).exists(), "{name}");
    }
}

#[test]
fn no_file_is_long() {
    for path in files("", &["rs", "proto", "sh", "toml", "md"]) {
        let lines = read(&path).lines().count();
        assert!(lines <= 600, "{} has {lines} lines", path.display());
    }
}
