//! Workers as a table.

use super::columns::{Align, Columns};
use super::text::line;
use super::units::{age, bytes};
use crate::views::WorkerView;

/// All of them, one a row; at most `width` characters where that is given.
pub(crate) fn workers(workers: &[WorkerView], memory: bool, width: Option<usize>) -> String {
    let mut heads = vec![
        ("WORKER", Align::Left),
        ("PID", Align::Right),
        ("TEMPLATE", Align::Left),
        ("NAME", Align::Left),
        ("WAY", Align::Left),
        ("STATE", Align::Left),
        ("AGE", Align::Right),
        ("OWNER", Align::Right),
    ];
    if memory {
        heads.extend([
            ("RSS", Align::Right),
            ("PSS", Align::Right),
            ("PRIVATE", Align::Right),
        ]);
    }
    heads.push(("TASK", Align::Left));
    let task = heads.len() - 1;
    let mut table = Columns::new(&heads);
    let none = || "-".to_owned();
    for worker in workers {
        let state = match &worker.exit {
            None => "running".to_owned(),
            Some(exit) => exit.summary(),
        };
        let mut cells = vec![
            worker.worker.clone(),
            worker.pid.to_string(),
            line(&worker.template_label()),
            worker.name.as_deref().map_or_else(none, line),
            worker.way.unwrap_or("-").to_owned(),
            state,
            age(worker.age_seconds),
            worker.owner_pid.map_or_else(none, |pid| pid.to_string()),
        ];
        if memory {
            let figures = [worker.rss_bytes, worker.pss_bytes, worker.private_bytes];
            cells.extend(figures.map(|figure| figure.map_or_else(none, bytes)));
        }
        cells.push(line(&worker.task));
        table.row(cells, Vec::new());
    }
    let mut lines = table.lines(task, width.unwrap_or(usize::MAX));
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::samples;
    use mpfork_proto::v1;

    fn samples() -> Vec<WorkerView> {
        let memory = v1::Memory {
            rss_bytes: 1 << 20,
            pss_bytes: 1 << 19,
            private_bytes: 1 << 18,
            sampled: None,
        };
        let running = v1::Worker {
            worker: Some("5f3a9c-12".parse().unwrap()),
            pid: 4711,
            template: "command".to_owned(),
            template_name: "command".to_owned(),
            started: Some(prost_types::Timestamp {
                seconds: 1_799_999_900,
                nanos: 0,
            }),
            task: "sh -c 'sleep 100; echo done; echo a long line that goes on and on'".to_owned(),
            owner_pid: 99,
            way: v1::StartWay::Spare.into(),
            memory: Some(memory),
            ..v1::Worker::default()
        };
        let ended = v1::Worker {
            worker: Some("5f3a9c-2".parse().unwrap()),
            name: "counts".to_owned(),
            template: "3f2a9c1e".repeat(8),
            template_name: "words".to_owned(),
            task: "count()".to_owned(),
            owner_pid: 0,
            way: v1::StartWay::Spawn.into(),
            memory: None,
            exit: Some(v1::Exit {
                how: Some(v1::exit::How::Signaled(v1::Signaled {
                    signal: 9,
                    core_dumped: false,
                })),
                ..v1::Exit::default()
            }),
            ..running.clone()
        };
        let view = |worker| WorkerView::new(worker, samples::now());
        vec![view(running), view(ended)]
    }

    #[test]
    fn a_table() {
        let table = workers(&samples(), false, None);
        assert_eq!(table, include_str!("golden/workers.txt"));
    }

    #[test]
    fn a_table_with_memory_that_fits() {
        let table = workers(&samples(), true, Some(109));
        assert_eq!(table, include_str!("golden/workers-memory.txt"));
        assert!(
            table.lines().all(|line| line.chars().count() <= 109),
            "{table}"
        );
    }
}
