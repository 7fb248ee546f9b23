//! Accepts connections and serves the API on them.

use crate::daemon::{Daemon, Ending};
use crate::health::Health;
use crate::verbs::Api;
use mpfork_proto::v1::admin_server::AdminServer;
use mpfork_proto::v1::connection_server::ConnectionServer;
use mpfork_proto::v1::events_server::EventsServer;
use mpfork_proto::v1::fork_server_server::ForkServerServer;
use mpfork_proto::v1::logs_server::LogsServer;
use mpfork_proto::v1::templates_server::TemplatesServer;
use mpfork_transport::{Connection, FdStream};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::InterceptorLayer;
use tonic::{Request, Status};
use tonic_reflection::server::Builder as Reflection;

/// Why serving failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    #[error("the contract can't be described")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// How long a connection gets to end by itself once the daemon has nothing more to say.
const CLOSING: Duration = Duration::from_secs(2);

/// Serves until the daemon has ended everything that runs.
pub(crate) async fn serve(daemon: &Arc<Daemon>, listener: &UnixListener) -> Result<(), ServeError> {
    let (sender, incoming) = mpsc::channel(16);
    let api = Api(Arc::clone(daemon));
    let health = Health::serving().await;
    // Either tells of both.
    let reflection = || {
        let described = [
            mpfork_proto::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        described.into_iter().fold(
            Reflection::configure().include_reflection_service(false),
            Reflection::register_encoded_file_descriptor_set,
        )
    };
    let checked = Arc::clone(daemon);
    // Whoever is served is checked here, whatever the call is.
    let check = move |request: Request<()>| -> Result<Request<()>, Status> {
        checked.peers.check(Connection::of(&request)?)?;
        Ok(request)
    };
    let router = mpfork_transport::server()
        .layer(InterceptorLayer::new(check))
        .layer(crate::calls::Bounds(Arc::clone(daemon)))
        .add_service(health.service())
        .add_service(reflection().build_v1()?)
        // What Python's grpcio-reflection and other clients of some age ask for.
        .add_service(reflection().build_v1alpha()?)
        // Requests are at most 4 MiB, tonic's default and mpfork_proto::MAX_MESSAGE_BYTES.
        .add_service(ConnectionServer::new(api.clone()))
        .add_service(ForkServerServer::new(api.clone()))
        .add_service(TemplatesServer::new(api.clone()))
        .add_service(LogsServer::new(api.clone()))
        .add_service(EventsServer::new(api.clone()))
        .add_service(AdminServer::new(api));
    let (close, closing) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(router.serve_with_incoming_shutdown(
        ReceiverStream::new(incoming),
        async move {
            let _ = closing.await;
        },
    ));
    tokio::select! {
        () = accept(daemon, listener, sender) => {}
        () = crate::shutdown::ended(daemon) => {}
        () = health.follow(daemon) => {}
    }
    // Streams that would go on for ever end, so that they do not hold up the end.
    health.end().await;
    daemon.events.end();
    // Everybody has been told; who does not hang up is hung up on.
    drop(close);
    match tokio::time::timeout(CLOSING, serving).await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

async fn accept(
    daemon: &Arc<Daemon>,
    listener: &UnixListener,
    streams: mpsc::Sender<io::Result<FdStream>>,
) {
    /// With no descriptor left, the next try waits until some may be free.
    const PAUSE: Duration = Duration::from_millis(50);
    let mut complained = false;
    let mut watchdog = daemon.manager.watchdog();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = watchdog.beat() => continue,
        };
        match accepted {
            Ok((socket, _)) => {
                complained = false;
                if *daemon.ending.borrow() == Ending::Now {
                    return;
                }
                // The credentials are read before the stream takes the socket.
                let Some(stream) = daemon.peers.admit(daemon, socket) else {
                    continue;
                };
                if streams.send(Ok(stream)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut complained, true) {
                    tracing::error!(%error, "can't accept connections");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
