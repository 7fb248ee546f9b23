//! The crates: which may depend on which, where unsafe code may be, which lints hold.

use super::sources::{code, files, read, root};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::Table;

/// The crates that each crate may depend on, for its tests too. `mpfork-tests` may on all.
const ARROWS: [(&str, &[&str]); 10] = [
    ("mpfork-proto", &[]),
    ("mpfork-sys", &[]),
    ("mpfork-macros", &[]),
    ("mpfork-transport", &["mpfork-proto", "mpfork-sys"]),
    ("mpfork-driver", &["mpfork-proto", "mpfork-sys"]),
    ("mpfork-zygote", &["mpfork-proto", "mpfork-sys"]),
    (
        "mpfork",
        &[
            "mpfork-proto",
            "mpfork-sys",
            "mpfork-driver",
            "mpfork-macros",
            "mpfork-transport",
            "mpfork-zygote",
        ],
    ),
    (
        "mpforkd",
        &[
            "mpfork-proto",
            "mpfork-sys",
            "mpfork-driver",
            "mpfork-transport",
            "mpfork-zygote",
        ],
    ),
    ("mpctl", &["mpfork", "mpfork-proto", "mpfork-sys"]),
    (
        "mpfork-conformance",
        &["mpfork", "mpfork-proto", "mpfork-sys"],
    ),
];

/// The crate that may have unsafe code.
const UNSAFE: &str = "client/sys";

/// The file that may say it once elsewhere: it calls, as programs do, what asks them to.
const UNSAFE_CALL: &str = "tests/tests/with_threads.rs";

/// A workspace of its own, as it needs a C++ compiler and a nightly toolchain.
const FUZZ: &str = "tests/fuzz/Cargo.toml";
/// A workspace of its own, as anybody's program has.
const OUTSIDE: &str = "tests/outside/Cargo.toml";

/// The workspace's crates: folder and manifest by name.
fn crates() -> BTreeMap<String, (PathBuf, Table)> {
    let manifests = files("", &["toml"]);
    let manifests = manifests.into_iter().filter(|path| {
        let others = ["Cargo.toml", FUZZ, OUTSIDE].map(Path::new);
        path.ends_with("Cargo.toml") && !others.contains(&path.as_path())
    });
    manifests
        .map(|path| {
            let manifest: Table = read(&path).parse().unwrap();
            let name = manifest["package"]["name"].as_str().unwrap().to_owned();
            (name, (path.parent().unwrap().to_owned(), manifest))
        })
        .collect()
}

/// The names in all tables of dependencies, platforms' own included.
fn dependencies(manifest: &Table) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in manifest {
        match value.as_table() {
            Some(table) if key.ends_with("dependencies") => names.extend(table.keys().cloned()),
            Some(table) if key == "target" => {
                names.extend(
                    table
                        .values()
                        .filter_map(|t| t.as_table())
                        .flat_map(dependencies),
                );
            }
            _ => {}
        }
    }
    names
}

#[test]
fn arrows_point_one_way() {
    let crates = crates();
    for (name, (_, manifest)) in &crates {
        if name == "mpfork-tests" {
            continue;
        }
        let (_, allowed) = ARROWS
            .iter()
            .find(|(from, _)| from == name)
            .unwrap_or_else(|| panic!("{name} has no arrows"));
        for dependency in dependencies(manifest) {
            assert!(
                !crates.contains_key(&dependency) || allowed.contains(&dependency.as_str()),
                "{name} may not depend on {dependency}"
            );
        }
    }
    assert_eq!(crates.len(), ARROWS.len() + 1, "each has its arrows");
}

#[test]
fn no_async_runtime_where_we_fork() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--package", "mpfork-zygote"])
        .args(["--edges", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("mpfork-sys"), "{tree}");
    for unwanted in ["tokio", "tonic", "hyper", "mpfork-transport"] {
        let found = tree.lines().find(|line| line.starts_with(unwanted));
        assert_eq!(found, None, "mpfork-zygote links {unwanted}");
    }
}

#[test]
fn unsafe_code_is_in_one_crate() {
    for path in files("", &["rs"]) {
        if path.starts_with(UNSAFE) {
            continue;
        }
        let code = code(&read(&path));
        let mut found = Vec::new();
        for (number, line) in code.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.any(|word| word == "unsafe") {
                found.push(format!("{}: {line}", number + 1));
            }
        }
        let allowed = usize::from(path == Path::new(UNSAFE_CALL));
        assert_eq!(found.len(), allowed, "{}: {found:?}", path.display());
    }
}

#[test]
fn every_crate_root_forbids_unsafe_code() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut roots = 0;
    for package in metadata["packages"].as_array().unwrap() {
        if package["name"] == "mpfork-sys" {
            continue;
        }
        for target in package["targets"].as_array().unwrap() {
            let kind = target["kind"][0].as_str().unwrap();
            if !["lib", "bin", "example"].contains(&kind) {
                continue;
            }
            let path = target["src_path"].as_str().unwrap();
            let source = std::fs::read_to_string(path).unwrap();
            assert!(
                source.lines().any(|line| line == "#![forbid(unsafe_code)]"),
                "{path}"
            );
            roots += 1;
        }
    }
    assert!(roots > ARROWS.len());
}

#[test]
fn every_crate_has_the_workspaces_lints() {
    for (name, (_, manifest)) in crates() {
        let lints = &manifest["lints"];
        assert_eq!(lints["workspace"].as_bool(), Some(true), "{name}");
        for key in ["version", "edition", "rust-version", "license"] {
            let value = &manifest["package"][key]["workspace"];
            assert_eq!(value.as_bool(), Some(true), "{name}: {key}");
        }
    }
}

#[test]
fn every_crate_is_in_the_workspace_by_name() {
    let workspace: Table = read("Cargo.toml").parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    for (name, (folder, _)) in crates() {
        let folder = folder.to_str().unwrap();
        let member = members.iter().any(|member| member.as_str() == Some(folder));
        assert!(member, "{name} in {folder}");
    }
}

/// The packages of a lock file, with the versions of each and where they come from.
fn locked(path: &Path) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let lock: Table = read(path).parse().unwrap();
    let mut packages = BTreeMap::<_, BTreeSet<_>>::new();
    for package in lock["package"].as_array().unwrap() {
        let text = |key| package.get(key).map_or("", |value| value.as_str().unwrap());
        let of = packages.entry(text("name").to_owned()).or_default();
        of.insert((text("version").to_owned(), text("checksum").to_owned()));
    }
    packages
}

/// A workspace of its own is built of what the workspace is: so it needs nothing to be downloaded, and
/// tries nothing else.
#[test]
fn other_workspaces_lock_the_same_versions() {
    let own = locked(Path::new("Cargo.lock"));
    // What only one of them needs, a C++ compiler included, and the packages themselves.
    let only = [
        "arbitrary",
        "cc",
        "derive_arbitrary",
        "find-msvc-tools",
        "jobserver",
        "libfuzzer-sys",
        "mpfork-fuzz",
        "render-pages",
    ];
    for manifest in [FUZZ, OUTSIDE] {
        let lock = Path::new(manifest).with_file_name("Cargo.lock");
        let mut alien = Vec::new();
        for (name, versions) in locked(&lock) {
            let known = own.get(&name).cloned().unwrap_or_default();
            let others = versions.difference(&known);
            alien.extend(others.map(|(version, _)| format!("{name} {version}")));
        }
        alien.retain(|package| !only.contains(&package.split(' ').next().unwrap()));
        let lock = lock.display();
        assert!(
            alien.is_empty(),
            "{lock} has other versions than Cargo.lock: copy that there, then `cargo metadata --offline \
             --manifest-path {manifest}` takes out what is too much: {alien:?}"
        );
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--locked", "--offline", "--format-version", "1"])
            .args(["--manifest-path", manifest])
            .current_dir(root())
            .output()
            .unwrap();
        // Where what only it needs was never downloaded, that is what cargo complains of.
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            !complaint.contains("lock file"),
            "`cargo metadata --offline --manifest-path {manifest}` brings {lock} in step: {complaint}"
        );
    }
}

/// Each function that is tried with any bytes has its target, and the ordinary tests try it too.
#[test]
fn what_is_fuzzed_is_fuzzed_and_tested() {
    let manifest: Table = read(FUZZ).parse().unwrap();
    let targets = manifest["bin"].as_array().unwrap();
    let mut targets: Vec<_> = targets
        .iter()
        .map(|bin| bin["name"].as_str().unwrap())
        .collect();
    targets.sort_unstable();
    assert_eq!(targets, super::sources::modules("tests/src/fuzz"));
    assert_eq!(targets, super::sources::modules("tests/fuzz/targets"));
    let tests = read("tests/tests/fuzz.rs");
    for target in targets {
        assert!(tests.contains(&format!("fuzz::{target}(&")), "{target}");
    }
}
