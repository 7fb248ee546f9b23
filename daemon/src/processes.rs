//! What the system tells of processes.

use mpfork_proto::v1::{Memory, Process};
use mpfork_sys::processes;
use mpfork_zygote::groups::members;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::oneshot;

/// Finds the live processes of process groups. That reads what `/proc` has of every process of the
/// machine, so it is done on a thread that may block, and all who ask meanwhile share the next round.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    asked: HashMap<i32, oneshot::Sender<Vec<Process>>>,
    searching: bool,
}

impl Groups {
    /// The live processes of a group, some of them when there are very many; none when they can't be
    /// found.
    pub(crate) async fn members(self: &Arc<Self>, group: i32) -> Vec<Process> {
        let (answer, searching) = self.ask(group);
        if !searching {
            tokio::spawn(Arc::clone(self).search());
        }
        answer.await.unwrap_or_default()
    }

    /// Puts a question; tells whether somebody searches already.
    fn ask(&self, group: i32) -> (oneshot::Receiver<Vec<Process>>, bool) {
        let (found, answer) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.asked.insert(group, found);
        let searching = std::mem::replace(&mut waiting.searching, true);
        drop(waiting);
        (answer, searching)
    }

    /// Answers all who ask, until nobody does.
    async fn search(self: Arc<Self>) {
        loop {
            let asked = self.next_round();
            if asked.is_empty() {
                return;
            }
            let groups = asked.keys().map(|group| (*group, Vec::new())).collect();
            let found = tokio::task::spawn_blocking(move || members(groups)).await;
            let mut found = found.unwrap_or_default();
            for (group, answer) in asked {
                // Who does not wait any more needs no answer.
                let _ = answer.send(found.remove(&group).unwrap_or_default());
            }
        }
    }

    /// All who ask now; when nobody does the search is over.
    fn next_round(&self) -> HashMap<i32, oneshot::Sender<Vec<Process>>> {
        let mut waiting = self.waiting();
        let asked = std::mem::take(&mut waiting.asked);
        waiting.searching = !asked.is_empty();
        asked
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process's memory. Reading it walks the page tables: some 10 ms per GB.
pub(crate) fn memory(pid: i32) -> std::io::Result<Memory> {
    processes::memory(pid).map(|memory| to_wire(&memory))
}

/// As it was read just now.
pub(crate) fn to_wire(memory: &processes::Memory) -> Memory {
    Memory {
        rss_bytes: memory.resident,
        pss_bytes: memory.proportional,
        private_bytes: memory.private,
        sampled: Some(SystemTime::now().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(memory(pid).unwrap().rss_bytes > 0);
    }

    #[test]
    fn all_who_ask_for_members_are_answered() {
        use std::os::unix::process::CommandExt as _;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let groups = Arc::new(Groups::default());
        let (one, none) = runtime.block_on(async {
            // The last is asked for while the first round goes on.
            let later = async {
                tokio::task::yield_now().await;
                groups.members(i32::MAX).await
            };
            tokio::join!(groups.members(pid), later)
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(one.iter().map(|p| p.pid).collect::<Vec<_>>(), [pid]);
        assert_eq!(none, []);
        assert!(!groups.waiting().searching);
    }
}
