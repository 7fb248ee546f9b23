//! From the command line to a daemon that serves.

use crate::cli::Cli;
use crate::config::Config;
use crate::daemon::{Daemon, Ending};
use crate::features::Features;
use crate::service::activation::{self, Passed};
use crate::service::manager::{Manager, summary};
use crate::settings::Settings;
use crate::shutdown::Signals;
use crate::template::{Template, identity::Identities, spec::Spec};
use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use mpfork_sys::limits;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Everything `main` does.
#[must_use]
pub fn main_impl() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mpforkd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The command line as it is defined, for what is made from that: manual pages, completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Where mpforkd serves.
enum Place {
    /// On a socket of its own making.
    Path(PathBuf),
    /// On one that it was passed.
    Passed(Passed),
}

impl Place {
    /// A socket that was passed must be the one that was named, if one was.
    fn new(named: Option<PathBuf>, passed: Option<Passed>) -> anyhow::Result<Self> {
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .with_context(|| format!("can't use the socket {}", path.display()))
        };
        let Some(passed) = passed else {
            let path = named.unwrap_or_else(|| mpfork_transport::search::default_for_daemon().path);
            return Ok(Self::Path(absolute(&path)?));
        };
        if let Some(named) = named {
            let named = absolute(&named)?;
            anyhow::ensure!(
                named == passed.path,
                "the socket {} was passed (LISTEN_FDS), but {} is to be served: name the same in ListenStream= and here, or none here",
                passed.path.display(),
                named.display()
            );
        }
        Ok(Self::Passed(passed))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Passed(passed) => &passed.path,
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(shell) = cli.completions {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), "mpforkd", &mut script);
        std::io::stdout()
            .write_all(&script)
            .context("can't print")?;
        return Ok(ExitCode::SUCCESS);
    }
    // A reload reads the same file, wherever mpforkd may be by then.
    let path = cli.config.as_deref().map(std::path::absolute).transpose();
    let path = path.context("can't find the configuration")?;
    let mut config = match &path {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    if cli.check_config {
        if let Some(filter) = &config.log.filter {
            crate::logging::parse(filter)
                .map_err(|error| anyhow::anyhow!("log.filter {filter:?} is wrong: {error}"))?;
        }
        for (name, template) in &config.templates {
            Spec::from_config(template, &Identities::default())
                .with_context(|| format!("template {name}"))?;
        }
        println!("the configuration is fine");
        for remark in config.remarks() {
            println!("but {remark}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Before anything else opens what could be taken for it.
    let passed = activation::take()?;
    let filter = cli.log.or_else(|| config.log.filter.clone());
    let format = cli.log_format.or(config.log.format);
    let log = crate::logging::init(filter.as_deref().unwrap_or("info"), format)
        .map_err(anyhow::Error::msg)?;
    let named = cli.socket.or_else(|| config.socket.clone());
    let place = Place::new(named, passed)?;

    let original_nofile = raise_open_files().context("can't read the limit of open files")?;
    limit_workers(&mut config);
    config.warn();
    inherit_nothing().context("can't shed what was inherited")?;
    // A zygote that dies leaves its workers to mpforkd, with their exit statuses.
    adopt_orphans().context("can't become the reaper of orphaned workers")?;
    let features = Features::probe(&cli.without_feature);
    for (_, name, found, without) in features.rows() {
        if let Err(error) = found {
            tracing::info!("kernel feature {name} is not used ({error}): {without}");
        }
    }

    // One thread: launching a zygote ties its life, while it preloads, to the thread that did it.
    // Where not even one thread can be made nothing works.
    let thread = std::thread::Builder::new().spawn(|| {});
    drop(thread.context("can't start a thread: is the limit of processes reached?")?);
    // What may block is done by others, the first of which is there from the start and stays: where no
    // more processes may be made there would be none, and tokio panics.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(FOR_EVER)
        .build()
        .context("can't start the runtime")?;
    drop(runtime.spawn_blocking(|| {}));
    let settings = Settings::new(path, config);
    let code = runtime.block_on(serve(settings, place, features, original_nofile, log))?;
    // Reading a zygote's memory must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(code)
}

async fn serve(
    settings: Settings,
    place: Place,
    features: Features,
    original_nofile: limits::Rlimit,
    log: crate::logging::LogFilter,
) -> anyhow::Result<ExitCode> {
    let signals = Signals::new().context("can't listen to signals")?;
    let socket = place.path().to_owned();
    let listening = match place {
        Place::Path(path) => crate::listen::listen(&path)?,
        Place::Passed(passed) => crate::listen::adopt(passed)?,
    };
    let metrics = settings.config().metrics.listen.clone();
    let metrics = crate::metrics::Listener::bind(metrics.as_ref()).await?;
    let manager = Manager::from_environment();
    let daemon = Daemon::new(settings, manager, socket, features, original_nofile, log);
    let daemon = Arc::new(daemon);
    configure_templates(&daemon)?;
    let mut background = vec![
        tokio::spawn(signals.handle(Arc::clone(&daemon))),
        tokio::spawn(retire_idle(Arc::clone(&daemon))),
        tokio::spawn(crate::drain::follow(Arc::clone(&daemon))),
    ];
    background.extend(metrics.map(|listener| crate::metrics::serve(&daemon, listener)));
    warm_configured(&daemon);
    tracing::info!(
        pid = std::process::id(),
        "{} serves {}",
        crate::NAME_AND_VERSION,
        daemon.socket.display()
    );
    daemon.manager.ready(&summary(&daemon));
    let served = crate::serve::serve(&daemon, &listening.listener).await;
    for task in background {
        task.abort();
        // Ended, and what it held let go.
        let _ = task.await;
    }
    drop(listening);
    served.context("serving failed")?;
    Ok(if *daemon.ending.borrow() == Ending::Now {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Programs being read, memory being sampled, groups being searched.
const BLOCKING_THREADS: usize = 8;
/// Longer than any daemon runs.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Raises the soft limit of open files to the hard one; returns what it was.
fn raise_open_files() -> std::io::Result<limits::Rlimit> {
    let before = limits::get(limits::NOFILE)?;
    let raised = limits::Rlimit {
        soft: before.hard,
        ..before
    };
    if let Err(error) = limits::set(0, raised) {
        tracing::warn!(%error, "can't raise the limit of open files");
    }
    Ok(before)
}

/// Descriptors mpforkd itself may need: connections, templates, zygotes.
pub(crate) const OWN_FILES: u64 = 300;
/// Descriptors of one worker: its pidfd and its own socket. What mpforkd holds of its streams comes on
/// top, where there is room.
pub(crate) const FILES_PER_WORKER: usize = 2;
/// Spares take so many as workers do, and all of them together one in eight of what there are.
const SPARES_SHARE: usize = 16;

/// Fits the limits of workers and spares to the limit of open files. It is the one that is reached where clients
/// have given all streams: of kept and attached ones mpforkd holds up to four descriptors more of a
/// worker, and when none are left for those a start is refused by that limit's name.
pub(crate) fn limit_workers(config: &mut Config) {
    let Ok(files) = limits::get(limits::NOFILE) else {
        return;
    };
    let room = usize::try_from(files.soft.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX);
    let spares = (room / SPARES_SHARE).min(config.limits.spares);
    if config.limits.spares > spares {
        tracing::info!(
            open_files = files.soft,
            "limits.spares lowered from {} to {spares}: each takes {FILES_PER_WORKER} open files",
            config.limits.spares
        );
        config.limits.spares = spares;
    }
    let most = (room / FILES_PER_WORKER).saturating_sub(spares).max(1);
    if config.limits.workers > most {
        tracing::info!(
            open_files = files.soft,
            "limits.workers lowered from {} to {most}: each takes {FILES_PER_WORKER} open files",
            config.limits.workers
        );
        config.limits.workers = most;
    }
}

/// Where the system's first process adopts all orphans, workers whose zygote has died are lost.
fn adopt_orphans() -> std::io::Result<()> {
    match mpfork_sys::own_process::adopt_orphans() {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
            tracing::info!("workers are lost when their zygote dies: {error}");
            Ok(())
        }
        other => other,
    }
}

/// Descriptors and blocked signals of whoever started mpforkd are neither for it nor for zygotes.
fn inherit_nothing() -> std::io::Result<()> {
    mpfork_sys::descriptors::close_on_exec_from(3)?;
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    Ok(())
}

fn configure_templates(daemon: &Arc<Daemon>) -> anyhow::Result<()> {
    let builtin = Spec::builtin(&daemon.identities)?;
    let name = mpfork_proto::BUILTIN_TEMPLATE.to_owned();
    daemon.templates.configure(
        daemon,
        Template::new(name.clone(), name, true, None, builtin),
    );
    for (name, config) in &daemon.config().templates {
        let spec = Spec::from_config(config, &daemon.identities)
            .with_context(|| format!("template {name}"))?;
        let (label, display) = (name.clone(), name.clone());
        let template = Template::new(label, display, true, Some(Arc::new(config.clone())), spec);
        daemon.templates.configure(daemon, template);
    }
    Ok(())
}

/// Warms the templates that are to be warm, unless they are.
pub(crate) fn warm_configured(daemon: &Arc<Daemon>) {
    for template in daemon.templates.all() {
        if template.keep_warm() {
            let daemon = Arc::clone(daemon);
            tokio::spawn(async move {
                if let Err(problem) = template.warm(&daemon).await {
                    tracing::error!(template = template.display, %problem, "can't warm a template");
                }
            });
        }
    }
}

/// Lets idle zygotes and spares go, keeps memory figures from growing old, and tells of repeated
/// refusals.
async fn retire_idle(daemon: Arc<Daemon>) {
    const PERIOD: Duration = Duration::from_secs(1);
    /// Reading a large zygote's memory holds up its forks for some milliseconds.
    const SAMPLE_EVERY: u32 = 30;
    let mut timer = tokio::time::interval(PERIOD);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for round in 0u32.. {
        timer.tick().await;
        daemon.events.publish_repeats();
        if !daemon.is_shutting_down() {
            daemon.manager.status(|| summary(&daemon));
        }
        let room = daemon.has_room_for_spares();
        for template in daemon.templates.all() {
            template.retire_idle(&daemon);
            template.tend_spares(&daemon, room);
            if (round % SAMPLE_EVERY == 0 || template.lacks_saving())
                && let Some(pid) = template.warm_pid()
            {
                daemon.sample_memory(&template, pid);
            }
        }
    }
}
