//! `grpc.health.v1`: whether starts are taken, of the daemon as a whole and of each service.

use crate::daemon::Daemon;
use mpfork_proto::v1::admin_server::AdminServer;
use mpfork_proto::v1::connection_server::ConnectionServer;
use mpfork_proto::v1::events_server::EventsServer;
use mpfork_proto::v1::fork_server_server::ForkServerServer;
use mpfork_proto::v1::logs_server::LogsServer;
use mpfork_proto::v1::templates_server::TemplatesServer;
use std::sync::Arc;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// The whole daemon goes by the empty name.
const NAMES: [&str; 7] = [
    "",
    <ConnectionServer<()> as NamedService>::NAME,
    <ForkServerServer<()> as NamedService>::NAME,
    <TemplatesServer<()> as NamedService>::NAME,
    <LogsServer<()> as NamedService>::NAME,
    <EventsServer<()> as NamedService>::NAME,
    <AdminServer<()> as NamedService>::NAME,
];

/// What is told of the daemon's health.
#[derive(Debug)]
pub(crate) struct Health(HealthReporter);

impl Health {
    /// Everything serves.
    pub(crate) async fn serving() -> Self {
        let health = Self(HealthReporter::new());
        health.tell(ServingStatus::Serving).await;
        health
    }

    /// The service that answers.
    pub(crate) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.0.clone()))
    }

    /// Follows the daemon as long as it serves.
    pub(crate) async fn follow(&self, daemon: &Arc<Daemon>) {
        let mut ending = daemon.ending.subscribe();
        let mut drain = daemon.drain.subscribe();
        loop {
            let status = if daemon.accepting().is_ok() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            self.tell(status).await;
            // The senders live in `daemon`, so the waits can't fail.
            tokio::select! {
                _ = ending.changed() => {}
                _ = drain.changed() => {}
            }
        }
    }

    /// Ends the streams of those who watch.
    pub(crate) async fn end(mut self) {
        for name in NAMES {
            self.0.clear_service_status(name).await;
        }
    }

    async fn tell(&self, status: ServingStatus) {
        for name in NAMES {
            self.0.set_service_status(name, status).await;
        }
    }
}
