//! A contender: a helper, and the mpforkd it uses where it uses one.

use super::ends;
use super::protocol::{Answer, Figure, Pages, Request};
use super::way::{SPARES, Way};
use crate::running::Daemon;
use anyhow::{Context as _, bail, ensure};
use mpfork::api::{Client, block_on};
use mpfork_proto::v1::{StartWay, Template};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The helper in Python, and what its processes run.
const PYTHON: [(&str, &str); 2] = [
    (
        "mpfork_bench_helper.py",
        include_str!("../../bench/mpfork_bench_helper.py"),
    ),
    (
        "mpfork_bench_tasks.py",
        include_str!("../../bench/mpfork_bench_tasks.py"),
    ),
];

/// How long spares may take to be there again.
const REFILL: Duration = Duration::from_secs(60);
/// How long a helper may take to end once nobody asks it any more.
const END: Duration = Duration::from_secs(20);

pub(super) struct Contender {
    pub(super) way: Way,
    pub(super) preload_mb: u32,
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    daemon: Option<(Daemon, Client)>,
    /// How many are to wait before each turn.
    spares: u32,
    /// What the helper in Python was read from.
    _sources: Option<tempfile::TempDir>,
}

impl Contender {
    pub(super) fn start(way: Way, preload_mb: u32, mpforkd: &Path) -> anyhow::Result<Self> {
        ends::check()?;
        let daemon = match way.daemon_config() {
            Some(config) => {
                let daemon = Daemon::start(mpforkd, &config)?;
                let client = block_on(Client::connect(Some(daemon.socket())))?;
                Some((daemon, client))
            }
            None => None,
        };
        let spares = match &daemon {
            Some((_, client)) if way == Way::MpforkdSpares => {
                let most = limit(client, "spares")?.unwrap_or(0);
                SPARES.min(u32::try_from(most)?)
            }
            _ => 0,
        };
        let mut sources = None;
        let mut command = if way.is_python() {
            let folder = tempfile::Builder::new().prefix("mpfork-bench-").tempdir()?;
            for (name, text) in PYTHON {
                std::fs::write(folder.path().join(name), text)?;
            }
            let mut command = Command::new("python3");
            command
                .args(["-c", "import mpfork_bench_helper as h; h.main()"])
                .arg(way.name())
                .env("PYTHONPATH", folder.path());
            sources = Some(folder);
            command
        } else {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("--helper").arg(way.name());
            if let Some((daemon, _)) = &daemon {
                command.arg("--socket").arg(daemon.socket());
            }
            command
        };
        let mut process = command
            .env(way.preload_variable(), preload_mb.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start the helper of {}", way.name()))?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the helper has no pipes");
        };
        ends::began(process.id());
        Ok(Self {
            way,
            preload_mb,
            process,
            requests: Some(requests),
            answers: BufReader::new(answers),
            daemon,
            spares,
            _sources: sources,
        })
    }

    pub(super) fn ask(&mut self, request: &Request) -> anyhow::Result<Answer> {
        ends::check()?;
        self.try_ask(request).with_context(|| {
            let name = self.way.name();
            format!("{name} with {} MB preloaded: {request:?}", self.preload_mb)
        })
    }

    fn try_ask(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let requests = self.requests.as_mut().context("the helper is ending")?;
        requests.write_all(&line)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ends::check()?;
        ensure!(!answer.is_empty(), "the helper ended");
        let answer: Answer = serde_json::from_str(&answer)?;
        match answer.failed {
            Some(failed) => bail!(failed),
            None => Ok(answer),
        }
    }

    /// Has one process made, by which everything is loaded and launched that will be.
    pub(super) fn warm_up(&mut self) -> anyhow::Result<()> {
        self.latency(Figure::ExitKnown, 3, Duration::from_secs(1))?;
        Ok(())
    }

    /// A turn of processes, one after another. Where there are spares they all wait before it.
    pub(super) fn latency(
        &mut self,
        figure: Figure,
        count: u32,
        limit: Duration,
    ) -> anyhow::Result<Answer> {
        let count = match self.spares {
            0 => count,
            spares => count.min(spares),
        };
        let answer = self.ask(&Request::Latency {
            figure,
            count,
            millis: u64::try_from(limit.as_millis())?,
        })?;
        self.refill()?;
        Ok(answer)
    }

    /// Waits until all spares wait: what forks them is then not in the turn of whoever comes next.
    pub(super) fn refill(&mut self) -> anyhow::Result<()> {
        if self.spares == 0 {
            return Ok(());
        }
        let deadline = Instant::now() + REFILL;
        while self.template()?.spares_idle < self.spares {
            ends::check()?;
            ensure!(Instant::now() < deadline, "the spares are not refilled");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(super) fn hold(&mut self, count: u32, pages: Pages) -> anyhow::Result<Answer> {
        self.ask(&Request::Hold { count, pages })
    }

    pub(super) fn release(&mut self) -> anyhow::Result<()> {
        self.ask(&Request::Release {})?;
        Ok(())
    }

    /// The template of the contender's program.
    pub(super) fn template(&self) -> anyhow::Result<Template> {
        let (_, client) = self.daemon.as_ref().context("there is no mpforkd")?;
        let templates = block_on(client.list_templates())?;
        let own = templates.into_iter().find(|template| {
            !template.configured && !template.digest.is_empty() && template.workers_started > 0
        });
        own.context("mpforkd does not know the template")
    }

    /// How many starts there were, and how many of them by a spare.
    pub(super) fn starts(&self) -> anyhow::Result<(u64, u64)> {
        let template = self.template()?;
        let by = |way: StartWay| -> u64 {
            let of = template.starts_by_way.iter();
            let of = of.filter(|starts| starts.way() == way);
            of.filter_map(|starts| Some(starts.latency?.count)).sum()
        };
        let spares = by(StartWay::Spare);
        Ok((spares + by(StartWay::Fork) + by(StartWay::Spawn), spares))
    }

    /// Who forks its processes, as far as that is known.
    pub(super) fn parent(&self) -> anyhow::Result<i32> {
        match self.daemon {
            Some(_) => Ok(self.template()?.zygote_pid),
            None => Ok(i32::try_from(self.process.id())?),
        }
    }

    /// How many workers its mpforkd allows.
    pub(super) fn most_workers(&self) -> anyhow::Result<Option<u64>> {
        let Some((_, client)) = &self.daemon else {
            return Ok(None);
        };
        limit(client, "workers")
    }

    pub(super) fn daemon_pid(&self) -> Option<i32> {
        self.daemon.as_ref().map(|(daemon, _)| daemon.pid())
    }

    /// Ends it in order, so that all its processes are waited for by somebody.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.end_helper()?;
        if let Some((daemon, client)) = self.daemon.take() {
            drop(client);
            daemon.shut_down()?;
        }
        Ok(())
    }

    fn end_helper(&mut self) -> anyhow::Result<()> {
        self.requests = None;
        let deadline = Instant::now() + END;
        loop {
            if let Some(status) = ends::ended(&mut self.process)? {
                ensure!(
                    status.success(),
                    "the helper of {} ended with {status}",
                    self.way.name()
                );
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the helper of {} does not end",
                self.way.name()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It has ended already, unless something has failed.
        ends::ending(&mut self.process);
    }
}

/// One of mpforkd's limits.
fn limit(client: &Client, name: &str) -> anyhow::Result<Option<u64>> {
    let limits = block_on(client.get_status())?.limits;
    let mut limits = limits.into_iter();
    Ok(limits
        .find(|limit| limit.name == name)
        .map(|limit| limit.value))
}
