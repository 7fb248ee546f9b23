//! Metrics for Prometheus, in the text format of OpenMetrics: read from the daemon when somebody asks,
//! and served on an address of its own.

mod collect;
mod http;
mod process;

use crate::config::MetricsAddress;
use crate::daemon::Daemon;
use crate::listen::Listening;
use anyhow::Context as _;
use collect::Collected;
use prometheus_client::registry::Registry;
use std::sync::{Arc, Weak};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a page of metrics is, to who asks for it.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where metrics are served.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(Listening),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens where the configuration says, if it does.
    pub(crate) async fn bind(address: Option<&MetricsAddress>) -> anyhow::Result<Option<Self>> {
        Ok(match address {
            None => None,
            Some(MetricsAddress::Unix(path)) => {
                Some(Self::Unix(crate::listen::listen(path).context("metrics")?))
            }
            Some(MetricsAddress::Loopback(address)) => {
                let listener = TcpListener::bind(address).await;
                let listener =
                    listener.with_context(|| format!("can't serve metrics on {address}"))?;
                Some(Self::Tcp(listener))
            }
        })
    }
}

/// Serves metrics in the background.
pub(crate) fn serve(daemon: &Arc<Daemon>, listener: Listener) -> JoinHandle<()> {
    match &listener {
        Listener::Unix(listening) => {
            tracing::info!("metrics are served on {}", listening.socket.display());
        }
        // The port may have been the kernel's choice.
        Listener::Tcp(tcp) => match tcp.local_addr() {
            Ok(address) => tracing::info!("metrics are served at http://{address}/metrics"),
            Err(error) => tracing::warn!(%error, "metrics are served at an unknown address"),
        },
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected(Arc::downgrade(daemon))));
    tokio::spawn(http::serve(listener, Arc::new(registry)))
}

/// The page. Reading it may take some milliseconds: not for the thread that serves.
fn page(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, registry)?;
    Ok(page)
}

type Source = Weak<Daemon>;
