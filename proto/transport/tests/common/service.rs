//! The server of the tests, made as a daemon would make it.

use super::{token, value};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::connection_server::{Connection as ConnectionRpc, ConnectionServer};
use mpfork_proto::v1::fork_server_server::{ForkServer, ForkServerServer};
use mpfork_proto::v1::{self, run_worker_response::Event};
use mpfork_transport::{Connection, FdStream, answer_handshake, server};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

/// Checks what it is sent and sends as many back as asked for.
#[derive(Clone)]
pub struct Echo {
    pub credit: u32,
    next: Arc<AtomicU32>,
}

type Events = Pin<Box<dyn Stream<Item = Result<v1::RunWorkerResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ForkServer for Echo {
    type RunWorkerStream = Events;
    type AttachStream = tokio_stream::Empty<Result<v1::AttachResponse, Status>>;

    async fn attach(
        &self,
        _: Request<tonic::Streaming<v1::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn run_worker(
        &self,
        request: Request<v1::RunWorkerRequest>,
    ) -> Result<Response<Events>, Status> {
        let connection = Connection::of(&request)?.clone();
        let spec = request.into_inner().spec.unwrap();
        let state = spec.state.unwrap();
        let placed = state.descriptors.iter();
        let claimed = connection.claim_all(placed.filter_map(|p| p.descriptor.as_ref()))?;
        let tokens: Vec<u32> = claimed.into_iter().map(value).collect();
        assert_eq!(tokens, state.affinity, "the wrong descriptors");
        let back: usize = spec.name.parse().unwrap();
        let reservation = connection.reserve(back).await.map_err(Problem::from)?;
        let next = || self.next.fetch_add(1, Ordering::Relaxed);
        let values: Vec<u32> = std::iter::repeat_with(next).take(back).collect();
        let descriptors = values.iter().map(|value| token(*value)).collect();
        let queued = reservation.queue(descriptors).map_err(Problem::from)?;
        let started = queued
            .descriptors
            .into_iter()
            .zip(values)
            .map(|(reference, value)| {
                Event::Started(v1::Started {
                    pid: value.cast_signed(),
                    pidfd: Some(reference),
                    ..v1::Started::default()
                })
            });
        let events = started.chain([Event::Exited(v1::Exit::default())]);
        let events = events.map(|event| Ok(v1::RunWorkerResponse { event: Some(event) }));
        let events: Vec<_> = events.collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(events))))
    }

    async fn start_worker(
        &self,
        _: Request<v1::StartWorkerRequest>,
    ) -> Result<Response<v1::StartWorkerResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn wait_worker(
        &self,
        _: Request<v1::WaitWorkerRequest>,
    ) -> Result<Response<v1::WaitWorkerResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn signal_worker(
        &self,
        _: Request<v1::SignalWorkerRequest>,
    ) -> Result<Response<v1::SignalWorkerResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn get_worker(
        &self,
        _: Request<v1::GetWorkerRequest>,
    ) -> Result<Response<v1::GetWorkerResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn list_workers(
        &self,
        _: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

#[tonic::async_trait]
impl ConnectionRpc for Echo {
    async fn handshake(
        &self,
        request: Request<v1::HandshakeRequest>,
    ) -> Result<Response<v1::HandshakeResponse>, Status> {
        let connection = Connection::of(&request)?;
        let answer = answer_handshake(connection, request.get_ref(), 5, "test 2", self.credit)?;
        Ok(Response::new(answer))
    }

    async fn acknowledge(
        &self,
        request: Request<v1::AcknowledgeRequest>,
    ) -> Result<Response<v1::AcknowledgeResponse>, Status> {
        Connection::of(&request)?.acknowledged(request.get_ref().received)?;
        Ok(Response::new(v1::AcknowledgeResponse {}))
    }
}

/// A server on a socket, until it is dropped.
pub struct Serving {
    pub path: PathBuf,
    _folder: tempfile::TempDir,
    accepted: Arc<Mutex<Vec<(StdUnixStream, Connection)>>>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Serves on a socket in a folder of its own.
    pub fn start(credit: u32) -> Self {
        Self::start_in("s", credit)
    }

    /// The same with the path under the folder chosen.
    pub fn start_in(path: impl AsRef<Path>, credit: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(path);
        let parent = path.parent().unwrap();
        std::fs::create_dir_all(parent).unwrap();
        // Bound from inside the folder, since its path may be too long for an address.
        let opened = std::fs::File::open(parent).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&opened);
        let listener = UnixListener::bind(format!("/proc/self/fd/{fd}/{name}")).unwrap();
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&accepted);
        let incoming = accept(listener, seen);
        let echo = Echo {
            credit,
            next: Arc::default(),
        };
        let task = tokio::spawn(async move {
            server()
                .add_service(ConnectionServer::new(echo.clone()))
                .add_service(ForkServerServer::new(echo))
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        Self {
            path,
            _folder: folder,
            accepted,
            task,
        }
    }

    /// The latest connection.
    pub fn latest(&self) -> Connection {
        self.accepted.lock().unwrap().last().unwrap().1.clone()
    }

    /// The first connection.
    pub fn first(&self) -> Connection {
        self.accepted.lock().unwrap()[0].1.clone()
    }

    /// The server's end of the latest connection.
    pub fn socket(&self) -> StdUnixStream {
        let accepted = self.accepted.lock().unwrap();
        accepted.last().unwrap().0.try_clone().unwrap()
    }

    /// Breaks every connection there is.
    pub fn break_all(&self) {
        for (socket, _) in self.accepted.lock().unwrap().drain(..) {
            // It may be broken already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.break_all();
        self.task.abort();
    }
}

fn accept(
    listener: UnixListener,
    seen: Arc<Mutex<Vec<(StdUnixStream, Connection)>>>,
) -> impl Stream<Item = std::io::Result<FdStream>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = sender.closed() => return,
            };
            let stream = accepted.map(|(socket, _)| {
                let copy: OwnedFd = socket.as_fd().try_clone_to_owned().unwrap();
                let stream = FdStream::server(socket).unwrap();
                seen.lock()
                    .unwrap()
                    .push((copy.into(), stream.connection()));
                stream
            });
            if sender.send(stream).await.is_err() {
                return;
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}
