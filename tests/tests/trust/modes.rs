//! The socket and what lies beside it are their user's alone, from the first instant.

use mpfork_tests::harness::{Folder, Setup, check, leaks};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;

/// Everything that is made in a folder, and everything there whose mode is changed later: that one had
/// another mode before.
struct Watch {
    inotify: OwnedFd,
    _running: leaks::Running,
}

impl Watch {
    fn of(folders: &[&Path]) -> Self {
        // Made before the daemon is, and so before the test is checked.
        let running = leaks::enter();
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        for folder in folders {
            let what = WatchFlags::CREATE | WatchFlags::ATTRIB;
            inotify::add_watch(&inotify, *folder, what).unwrap();
        }
        Self {
            inotify,
            _running: running,
        }
    }

    /// The names of what was made, and of what was changed.
    fn seen(&self) -> (Vec<String>, Vec<String>) {
        let (mut made, mut changed) = (Vec::new(), Vec::new());
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            let name = event.file_name();
            let name = name.map_or("the folder", |name| name.to_str().unwrap());
            if event.events().contains(ReadFlags::CREATE) {
                made.push(name.to_owned());
            } else {
                changed.push(name.to_owned());
            }
        }
        (made, changed)
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn nothing_is_open_to_others_at_any_instant_whatever_the_umask() {
    for umask in [0, 0o022, 0o077] {
        let folder = Folder::new();
        let home = folder.join("home");
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
        let watch = Watch::of(&[&home]);
        let socket = home.join("it.sock");
        let setup = Setup::within(&folder)
            .socket(&socket)
            .prelude(&format!("umask {umask:o}"));
        check(setup, async |daemon| {
            daemon.connect().await;
            let (mut made, changed) = watch.seen();
            drop(watch);
            made.sort();
            assert_eq!(made, ["it.sock", "it.sock.lock"], "{umask:o}");
            assert_eq!(changed, Vec::<String>::new(), "{umask:o}");
            for name in made {
                assert_eq!(mode(&home.join(&name)), 0o600, "{umask:o}: {name}");
            }
        });
    }
}

#[test]
fn folders_are_made_closed_whatever_the_umask() {
    for umask in [0, 0o022] {
        let folder = Folder::new();
        let watch = Watch::of(&[folder.path()]);
        let socket = folder.join("made/by/it.sock");
        let setup = Setup::within(&folder)
            .socket(&socket)
            .prelude(&format!("umask {umask:o}"));
        check(setup, async |daemon| {
            daemon.connect().await;
            let (made, changed) = watch.seen();
            drop(watch);
            assert!(made.contains(&"made".to_owned()), "{made:?}");
            assert!(!changed.contains(&"made".to_owned()), "{changed:?}");
            for name in ["made", "made/by"] {
                assert_eq!(mode(&folder.join(name)), 0o700, "{umask:o}: {name}");
            }
        });
    }
}
