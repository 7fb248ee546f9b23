use super::*;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};

fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
    move |name| {
        let pair = pairs.iter().find(|(key, _)| *key == name);
        pair.map(|(_, value)| OsString::from(value))
    }
}

fn origins(candidates: &[Candidate]) -> Vec<Origin> {
    candidates.iter().map(|c| c.origin).collect()
}

#[test]
fn a_named_socket_is_the_only_place() {
    let env = env(&[
        ("MPFORKD_SOCKET", "/e/s"),
        ("XDG_RUNTIME_DIR", "/run/user/1"),
    ]);
    let explicit = candidates_in(Some(Path::new("/x/s")), &env);
    assert_eq!(origins(&explicit), [Origin::Explicit]);
    assert_eq!(explicit[0].path, Path::new("/x/s"));
    let named = candidates_in(None, &env);
    assert_eq!(origins(&named), [Origin::Environment]);
    assert_eq!(named[0].path, Path::new("/e/s"));
}

#[test]
fn otherwise_three_places_in_order() {
    let found = candidates_in(
        None,
        &env(&[
            ("MPFORKD_SOCKET", ""),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            ("TMPDIR", "/t"),
        ]),
    );
    let paths: Vec<_> = found.iter().map(|c| c.path.clone()).collect();
    assert_eq!(
        paths,
        [
            PathBuf::from("/run/user/1/mpforkd/mpforkd.sock"),
            PathBuf::from(format!("/t/mpforkd-{}/mpforkd.sock", uid())),
            PathBuf::from(SYSTEM_SOCKET),
        ]
    );
    let found = candidates_in(None, &env(&[("XDG_RUNTIME_DIR", "relative")]));
    assert_eq!(origins(&found), [Origin::Temporary, Origin::System]);
}

#[test]
fn what_a_daemon_takes_a_client_looks_at() {
    let settings: &[&[(&str, &str)]] = &[
        &[],
        &[("XDG_RUNTIME_DIR", "/run/user/1")],
        &[("MPFORKD_SOCKET", "/e/s")],
        &[("TMPDIR", "/t")],
    ];
    for setting in settings {
        for uid in [0, 1000] {
            let taken = default_in(uid, &env(setting));
            assert!(candidates_in(None, &env(setting)).contains(&taken));
        }
    }
}

#[test]
fn only_a_folder_of_ones_own_is_used() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    assert!(matches!(
        check_private(&folder),
        Err(Unsafe::Unreadable { .. })
    ));
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .unwrap();
    assert_eq!(check_private(&folder), Ok(()));

    let link = root.path().join("link");
    symlink(&folder, &link).unwrap();
    assert_eq!(
        check_private(&link),
        Err(Unsafe::NotDirectory { path: link })
    );
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(
        check_private(&file),
        Err(Unsafe::NotDirectory { .. })
    ));
    for mode in [0o755, 0o770, 0o701, 0o1700] {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(check_private(&folder), Err(Unsafe::Open { mode: m, .. }) if m == mode));
    }
}

#[test]
fn another_users_folder_is_refused() {
    // The root folder is root's: foreign to an ordinary user; root makes a foreign one.
    if uid() != 0 {
        assert!(matches!(
            check_private(Path::new("/")),
            Err(Unsafe::Foreign { owner: 0, .. })
        ));
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .unwrap();
    std::os::unix::fs::chown(&folder, Some(12345), None).unwrap();
    assert!(matches!(
        check_private(&folder),
        Err(Unsafe::Foreign { owner: 12345, .. })
    ));
}
