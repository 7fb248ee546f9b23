//! The least of HTTP that a scrape needs: one request a connection, few connections, little time.

use super::{CONTENT_TYPE, Listener, page};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE as TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Semaphore};

/// So many connections at a time; others wait in the kernel's queue.
const CONNECTIONS: usize = 8;
/// A connection that takes longer is closed.
const PATIENCE: Duration = Duration::from_secs(10);
/// With no descriptor left, the next try waits until some may be free.
const PAUSE: Duration = Duration::from_millis(50);
/// The most bytes of a request's head.
const HEAD: usize = 16 << 10;

/// Accepts and answers until it is aborted.
pub(super) async fn serve(listener: Listener, registry: Arc<Registry>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // One page is made at a time, whoever asks.
    let registry = Arc::new(Mutex::new(registry));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let registry = Arc::clone(&registry);
        let accepted = match &listener {
            Listener::Unix(listening) => match listening.listener.accept().await {
                Ok((stream, _)) => {
                    // By the same rule as the daemon's own socket.
                    let user = stream.peer_cred().map(|peer| peer.uid());
                    let allowed = user.is_ok_and(|user| crate::peers::check_user(user).is_ok());
                    tokio::spawn(async move {
                        answer(stream, registry, allowed).await;
                        drop(place);
                    });
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Listener::Tcp(listener) => match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(async move {
                        answer(stream, registry, true).await;
                        drop(place);
                    });
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = accepted {
            tracing::debug!(%error, "can't accept a connection for metrics");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    registry: Arc<Mutex<Arc<Registry>>>,
    allowed: bool,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let registry = Arc::clone(&registry);
        async move { Ok::<_, Infallible>(respond(&request, &registry, allowed).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for metrics failed"),
        Err(_) => tracing::debug!("a connection for metrics took too long"),
    }
}

async fn respond(
    request: &Request<Incoming>,
    registry: &Mutex<Arc<Registry>>,
    allowed: bool,
) -> Response<Full<Bytes>> {
    if !allowed {
        return text(StatusCode::FORBIDDEN, "permission denied: another user's\n");
    }
    if request.uri().path() != "/metrics" {
        return text(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET it\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    let registry = registry.lock().await;
    let source = Arc::clone(&registry);
    let made = tokio::task::spawn_blocking(move || page(&source)).await;
    drop(registry);
    match made {
        Ok(Ok(page)) => {
            let mut response = text(StatusCode::OK, page);
            let kind = HeaderValue::from_static(CONTENT_TYPE);
            response.headers_mut().insert(TYPE, kind);
            response
        }
        Ok(Err(_)) | Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics can't be read\n",
        ),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(TYPE, kind);
    response
}
