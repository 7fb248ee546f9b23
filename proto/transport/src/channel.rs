//! What a client's calls go through.

use crate::stream::FdStream;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tower::Service;

/// Bytes under way in one call before its reader must have taken some.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
/// The same for all calls of a connection together: one whose answer nobody reads must not hold up
/// the others soon.
pub(crate) const CONNECTION_WINDOW: u32 = 8 << 20;
/// Errors travel as headers, traces of preloads among them; stock limits are 8 and 16 KiB.
pub(crate) const HEADER_LIST_BYTES: u32 = 64 << 10;

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("mpfork/", env!("CARGO_PKG_VERSION")));

/// The calls of one connection, for tonic's clients. Clones use the same connection, which ends when the last
/// one and the answers to its calls are dropped. It never reconnects.
///
/// Not [`tonic::transport::Channel`]: that one is made to reconnect, and to hand each call over to a task of
/// its own first. This one keeps no deadline by itself: what a call brings is for the server, and who has
/// patience for so long drops the call then.
#[derive(Debug, Clone)]
pub struct Channel(SendRequest<Body>);

impl Channel {
    pub(crate) async fn over(stream: FdStream) -> hyper::Result<Self> {
        let (requests, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST_BYTES)
            .handshake(TokioIo::new(stream))
            .await?;
        // Of its end each call is told, and the stream's own connection keeps the cause.
        tokio::spawn(connection);
        Ok(Self(requests))
    }

    /// Whether it takes no more calls, as far as that has been noticed: a server that leaves lets those that are
    /// under way end.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Body>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let uri = std::mem::take(request.uri_mut());
        *request.uri_mut() = to_daemon(uri);
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        let answer = self.0.send_request(request);
        Box::pin(async move { Ok(answer.await?.map(Body::new)) })
    }
}

/// The same of the one server there is. Some refuse an authority that is a path, so it is always this.
fn to_daemon(uri: Uri) -> Uri {
    let mut parts = uri.into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(Authority::from_static("localhost"));
    // tonic's clients make paths only, which go with any authority.
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_of_the_one_server_there_is() {
        for uri in [
            "/mpfork.v1.Admin/GetStatus",
            "http://other/mpfork.v1.Admin/GetStatus",
        ] {
            let uri = to_daemon(uri.parse().unwrap());
            assert_eq!(uri, "http://localhost/mpfork.v1.Admin/GetStatus");
        }
    }
}
