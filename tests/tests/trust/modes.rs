//! The socket and what lies beside it are their user's alone, from the first instant.

use mpfork_tests::harness::{Folder, Setup, check};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Looks at some paths again and again, as fast as it can; the modes that each had.
struct Watch {
    over: Arc<AtomicBool>,
    watching: JoinHandle<Vec<BTreeSet<u32>>>,
}

impl Watch {
    fn begin(paths: Vec<PathBuf>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let watching = std::thread::spawn(move || {
            let mut seen = vec![BTreeSet::new(); paths.len()];
            loop {
                // Looked at before the last round, in which all of them are there.
                let last = end.load(Ordering::Relaxed);
                for (path, seen) in paths.iter().zip(&mut seen) {
                    if let Ok(metadata) = std::fs::symlink_metadata(path) {
                        seen.insert(metadata.mode() & 0o7777);
                    }
                }
                if last {
                    break;
                }
            }
            seen
        });
        Self { over, watching }
    }

    fn end(self) -> Vec<BTreeSet<u32>> {
        self.over.store(true, Ordering::Relaxed);
        self.watching.join().unwrap()
    }
}

#[test]
fn nothing_is_open_to_others_at_any_instant_whatever_the_umask() {
    for umask in [0, 0o022] {
        for _ in 0..4 {
            let folder = Folder::new();
            let path = |name: &str| folder.join(Path::new("made/for").join(name));
            let watch = Watch::begin(vec![
                folder.join("made"),
                folder.join("made/for"),
                path("it.sock"),
                path("it.sock.lock"),
            ]);
            let setup = Setup::within(&folder).socket(path("it.sock")).umask(umask);
            let mut seen = Vec::new();
            check(setup, async |daemon| {
                daemon.connect().await;
                seen = watch.end();
            });
            for (modes, mode) in seen.into_iter().zip([0o700, 0o700, 0o600, 0o600]) {
                assert_eq!(modes, BTreeSet::from([mode]), "{umask:o}: {modes:?}");
            }
        }
    }
}
