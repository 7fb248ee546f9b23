//! The API: one file for each verb, each a check, a step of the daemon, an answer.

mod attach;
pub(crate) mod deadline;
mod drain;
mod get_status;
mod get_template;
mod get_worker;
mod handshake;
mod list_templates;
mod list_workers;
mod read_logs;
mod register_template;
mod reload_template;
mod remove_template;
mod run_worker;
mod set_log_filter;
mod shutdown;
mod signal_worker;
mod start_worker;
mod wait_worker;
mod warm_template;
mod watch_events;

use crate::calls::Held;
use crate::daemon::Daemon;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::admin_server::Admin;
use mpfork_proto::v1::connection_server::Connection as ConnectionService;
use mpfork_proto::v1::events_server::Events;
use mpfork_proto::v1::fork_server_server::ForkServer;
use mpfork_proto::v1::logs_server::Logs;
use mpfork_proto::v1::templates_server::Templates;
use mpfork_proto::v1::*;
use mpfork_transport::Connection;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tonic::{Request, Response, Status, Streaming};

/// The services, on top of the daemon.
#[derive(Debug, Clone)]
pub(crate) struct Api(pub(crate) Arc<Daemon>);

type Streamed<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

/// A request with the connection it came on, which was checked when it came.
struct Call<T> {
    daemon: Arc<Daemon>,
    connection: Connection,
    /// When the caller no longer waits for the answer.
    deadline: Option<Instant>,
    /// Counts the request as held by its connection.
    held: Option<Held>,
    message: T,
}

impl<T> Call<T> {
    /// The same call with a part of its message, or another one.
    fn with<U>(self, message: impl FnOnce(T) -> U) -> Call<U> {
        Call {
            daemon: self.daemon,
            connection: self.connection,
            deadline: self.deadline,
            held: self.held,
            message: message(self.message),
        }
    }
}

impl Api {
    fn call<T>(&self, request: Request<T>) -> Result<Call<T>, Problem> {
        let connection = Connection::of(&request)?.clone();
        Ok(Call {
            daemon: Arc::clone(&self.0),
            connection,
            deadline: deadline::of(request.metadata()),
            held: request.extensions().get::<Held>().cloned(),
            message: request.into_inner(),
        })
    }
}

/// Serves a verb: runs the verb's `serve`, turns problems into statuses.
macro_rules! verb {
    ($name:ident, $request:ty, $response:ty) => {
        fn $name<'life, 'future>(
            &'life self,
            request: Request<$request>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<$response>, Status>> + Send + 'future>>
        where
            'life: 'future,
            Self: 'future,
        {
            let call = self.call(request);
            Box::pin(async move {
                let call = call?;
                let deadline = call.deadline;
                let served = $name::serve(call);
                let response = deadline::within(deadline, stringify!($name), served).await?;
                Ok(Response::new(response))
            })
        }
    };
}

impl ConnectionService for Api {
    verb!(handshake, HandshakeRequest, HandshakeResponse);

    fn acknowledge<'life, 'future>(
        &'life self,
        request: Request<AcknowledgeRequest>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<AcknowledgeResponse>, Status>> + Send + 'future>>
    where
        'life: 'future,
        Self: 'future,
    {
        let call = self.call(request);
        Box::pin(async move {
            let call = call?;
            call.connection.acknowledged(call.message.received)?;
            Ok(Response::new(AcknowledgeResponse {}))
        })
    }
}

impl ForkServer for Api {
    type RunWorkerStream = Streamed<RunWorkerResponse>;
    type AttachStream = Streamed<AttachResponse>;

    verb!(run_worker, RunWorkerRequest, Self::RunWorkerStream);
    verb!(start_worker, StartWorkerRequest, StartWorkerResponse);
    verb!(attach, Streaming<AttachRequest>, Self::AttachStream);
    verb!(wait_worker, WaitWorkerRequest, WaitWorkerResponse);
    verb!(signal_worker, SignalWorkerRequest, SignalWorkerResponse);
    verb!(get_worker, GetWorkerRequest, GetWorkerResponse);
    verb!(list_workers, ListWorkersRequest, ListWorkersResponse);
}

impl Templates for Api {
    type WarmTemplateStream = Streamed<WarmTemplateResponse>;

    verb!(
        register_template,
        RegisterTemplateRequest,
        RegisterTemplateResponse
    );
    verb!(warm_template, WarmTemplateRequest, Self::WarmTemplateStream);
    verb!(list_templates, ListTemplatesRequest, ListTemplatesResponse);
    verb!(get_template, GetTemplateRequest, GetTemplateResponse);
    verb!(
        reload_template,
        ReloadTemplateRequest,
        ReloadTemplateResponse
    );
    verb!(
        remove_template,
        RemoveTemplateRequest,
        RemoveTemplateResponse
    );
}

impl Logs for Api {
    type ReadLogsStream = Streamed<ReadLogsResponse>;

    verb!(read_logs, ReadLogsRequest, Self::ReadLogsStream);
}

impl Events for Api {
    type WatchEventsStream = Streamed<WatchEventsResponse>;

    verb!(watch_events, WatchEventsRequest, Self::WatchEventsStream);
}

impl Admin for Api {
    type DrainStream = Streamed<DrainResponse>;

    verb!(get_status, GetStatusRequest, GetStatusResponse);
    verb!(shutdown, ShutdownRequest, ShutdownResponse);
    verb!(drain, DrainRequest, Self::DrainStream);
    verb!(set_log_filter, SetLogFilterRequest, SetLogFilterResponse);
}
