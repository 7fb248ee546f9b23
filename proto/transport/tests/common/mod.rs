//! A service that checks every descriptor it is sent and sends others back, a client of it, and a
//! frame around each test that notices leaks.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_possible_truncation
)] // Each test binary uses a part of it, and a test may panic.

mod service;

pub use service::Serving;

use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{
    PlacedDescriptor, RunWorkerRequest, StartState, WorkerSpec,
    fork_server_client::ForkServerClient, run_worker_response::Event,
};
use mpfork_transport::Channel;
use mpfork_transport::{Connection, Handshake, acknowledge, channel_over, client_handshake};
use rustix::fs::{MemfdFlags, memfd_create};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

/// No test may take longer; they take a small part of it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A descriptor that can be told from all others.
pub fn token(value: u32) -> OwnedFd {
    let file = std::fs::File::from(memfd_create("token", MemfdFlags::CLOEXEC).unwrap());
    file.write_all_at(&value.to_be_bytes(), 0).unwrap();
    file.into()
}

pub fn value(descriptor: OwnedFd) -> u32 {
    let mut bytes = [0; 4];
    std::fs::File::from(descriptor)
        .read_exact_at(&mut bytes, 0)
        .unwrap();
    u32::from_be_bytes(bytes)
}

pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs a test by itself, on a runtime of its own, within the deadline, and checks that it leaves no
/// descriptor open.
pub fn check<F: Future<Output = ()>>(threads: usize, test: impl FnOnce() -> F) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // With its signals a runtime leaves a pair of sockets to the process, once.
    drop(Builder::new_current_thread().enable_all().build().unwrap());
    let before = open_descriptors();
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let test = test();
        tokio::time::timeout(DEADLINE, test)
            .await
            .expect("the test ends within its deadline");
    });
    runtime.shutdown_timeout(DEADLINE);
    let started = Instant::now();
    while open_descriptors() != before {
        assert!(
            started.elapsed() < DEADLINE,
            "{before} descriptors were open before, {} after",
            open_descriptors()
        );
        std::thread::yield_now();
    }
}

/// A connected client.
#[derive(Clone)]
pub struct Client {
    pub channel: Channel,
    pub connection: Connection,
    pub handshake: Handshake,
}

impl Client {
    pub async fn connect(path: &Path, credit: u32) -> Self {
        Self::try_connect(path, credit).await.unwrap()
    }

    pub async fn try_connect(path: &Path, credit: u32) -> Result<Self, String> {
        let (channel, connection) = mpfork_transport::connect(path)
            .await
            .map_err(|error| error.to_string())?;
        Self::over(channel, connection, credit).await
    }

    pub async fn on(socket: tokio::net::UnixStream, credit: u32) -> Self {
        let (channel, connection) = channel_over(socket).await.unwrap();
        Self::over(channel, connection, credit).await.unwrap()
    }

    async fn over(channel: Channel, connection: Connection, credit: u32) -> Result<Self, String> {
        let handshake = client_handshake(channel.clone(), &connection, "test 1", credit)
            .await
            .map_err(|status| status.to_string())?;
        Ok(Self {
            channel,
            connection,
            handshake,
        })
    }

    /// One call: these tokens' descriptors go out, and `back` others come in. Err: the call failed.
    /// A descriptor that is not the right one panics.
    pub async fn echo(&self, tokens: &[u32], back: usize) -> Result<(), String> {
        let text = |error: mpfork_transport::SendError| error.to_string();
        let reservation = self.connection.reserve(tokens.len()).await.map_err(text)?;
        let descriptors = tokens.iter().map(|value| token(*value)).collect();
        let queued = reservation.queue(descriptors).map_err(text)?;
        let request = request(&queued.descriptors, tokens, back);
        self.call(request, back).await
    }

    /// The call itself, of a request whose descriptors are queued.
    pub async fn call(&self, request: RunWorkerRequest, back: usize) -> Result<(), String> {
        let mut rpc = ForkServerClient::new(self.channel.clone());
        let text = |status: tonic::Status| match Problem::from_status(&status) {
            Some(problem) => format!("{:?}: {problem}", problem.reason),
            None => status.to_string(),
        };
        let mut events = rpc.run_worker(request).await.map_err(text)?.into_inner();
        let mut seen = 0;
        while let Some(event) = events.message().await.map_err(text)? {
            match event.event {
                Some(Event::Started(started)) => {
                    let reference = started.pidfd.unwrap();
                    let claimed = self.connection.claim(&reference);
                    let descriptor = claimed.map_err(|problem| problem.to_string())?;
                    assert_eq!(value(descriptor), started.pid as u32);
                    seen += 1;
                }
                Some(Event::Exited(_)) => {
                    acknowledge(&self.channel, &self.connection);
                    assert_eq!(seen, back);
                    return Ok(());
                }
                None => panic!("an empty event"),
            }
        }
        Err("the answer ended early".to_owned())
    }
}

/// A request that names descriptors and says which tokens they are and how many are to come back.
pub fn request(
    references: &[mpfork_proto::v1::Descriptor],
    tokens: &[u32],
    back: usize,
) -> RunWorkerRequest {
    let placed = references.iter().map(|reference| PlacedDescriptor {
        descriptor: Some(*reference),
        target: 0,
    });
    RunWorkerRequest {
        spec: Some(WorkerSpec {
            name: back.to_string(),
            state: Some(StartState {
                descriptors: placed.collect(),
                affinity: tokens.to_vec(),
                ..StartState::default()
            }),
            ..WorkerSpec::default()
        }),
    }
}

/// For those that have thousands open: the limit is often 1024 until a process raises its own.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let current = before.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
}

/// Gives up what exempts root from the limit of descriptors in flight, for this thread and those it
/// starts.
pub fn without_privileges() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None).unwrap();
    sets.effective
        .remove(CapabilitySet::SYS_RESOURCE | CapabilitySet::SYS_ADMIN);
    set_capabilities(None, sets).unwrap();
}
