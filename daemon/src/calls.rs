//! What one connection may have under way: a flood from it must be its own trouble.
//!
//! Each call takes one of its connection's places until the last byte of its answer is sent, and what
//! is read of its request is counted as long as the daemon holds it. Past a bound the call is refused
//! by the limit's name. Calls whose answers can be long and that nothing else bounds wait for each
//! other: a client that does not read its answers has few of them made.

use crate::daemon::Daemon;
use http_body::{Frame, SizeHint};
use mpfork_proto::problem::Problem;
use mpfork_transport::Connection;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service, http};
use tonic::{Code, Status};

/// So many long answers of a connection are made at a time.
const LONG_ANSWERS: usize = 8;
/// The calls that have them.
const LONG: [&str; 5] = [
    "/ListWorkers",
    "/GetWorker",
    "/ListTemplates",
    "/GetTemplate",
    "/GetStatus",
];

/// So many calls of a connection may have answers that go on: what is under way of each is bounded, and
/// a client that does not read lets it lie with mpforkd.
const GOING_ON: usize = 128;
/// The calls that have them, but for `RunWorker`, which tells two small things.
const GO_ON: [&str; 5] = [
    "/Attach",
    "/ReadLogs",
    "/WatchEvents",
    "/ServerReflectionInfo",
    "Health/Watch",
];

/// Calls whose requests are streams: a message is held until the next one begins, not until the end.
const STREAMED: [&str; 2] = ["/Attach", "/ServerReflectionInfo"];

/// What a connection has under way.
#[derive(Debug)]
pub(crate) struct Usage {
    calls: AtomicUsize,
    going_on: AtomicUsize,
    bytes: AtomicUsize,
    long_answers: Arc<Semaphore>,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            calls: AtomicUsize::new(0),
            going_on: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            long_answers: Arc::new(Semaphore::new(LONG_ANSWERS)),
        }
    }
}

/// A call's place; free again when dropped.
#[derive(Debug)]
struct Place {
    usage: Arc<Usage>,
    goes_on: bool,
}

impl Place {
    fn take(usage: &Arc<Usage>, goes_on: bool, most: usize) -> Result<Self, Problem> {
        let calls = usage.calls.fetch_add(1, Ordering::Relaxed);
        let going_on = usage
            .going_on
            .fetch_add(usize::from(goes_on), Ordering::Relaxed);
        let usage = Arc::clone(usage);
        let place = Self { usage, goes_on };
        if calls >= most {
            return Err(Problem::limit("limits.calls_per_connection", most));
        }
        if goes_on && going_on >= GOING_ON {
            return Err(Problem::limit("streams of one connection", GOING_ON));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.usage.calls.fetch_sub(1, Ordering::Relaxed);
        self.usage
            .going_on
            .fetch_sub(usize::from(self.goes_on), Ordering::Relaxed);
    }
}

/// A permit of [`Usage::long_answers`], of which only the end matters.
type Turn = Box<dyn Debug + Send + Sync>;

/// The bytes of one request, counted until the last copy is dropped: whoever keeps the request keeps
/// one of these.
#[derive(Debug, Clone)]
pub(crate) struct Held(Arc<HeldBytes>);

#[derive(Debug)]
struct HeldBytes {
    usage: Arc<Usage>,
    bytes: AtomicUsize,
    /// Taken to make a long answer.
    turn: Mutex<Option<Turn>>,
}

impl Held {
    fn new(usage: Arc<Usage>) -> Self {
        Self(Arc::new(HeldBytes {
            usage,
            bytes: AtomicUsize::new(0),
            turn: Mutex::default(),
        }))
    }

    /// Waits for this call's turn to make a long answer. It lasts until that is sent.
    pub(crate) async fn turn(&self) {
        let turns = Arc::clone(&self.0.usage.long_answers);
        // It is never closed.
        if let Ok(permit) = turns.acquire_owned().await {
            let turn: Turn = Box::new(permit);
            *self.0.turn.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
        }
    }

    fn take_turn(&self) -> Option<Turn> {
        let mut turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.take()
    }

    /// Holds so many bytes more of this call, and no more than that.
    pub(crate) fn also(&self, count: usize, daemon: &Daemon) -> Result<Self, Problem> {
        let more = Self::new(Arc::clone(&self.0.usage));
        more.add(count, daemon.config().limits.request_bytes_per_connection)?;
        Ok(more)
    }

    fn release(&self) {
        let count = self.0.bytes.swap(0, Ordering::Relaxed);
        self.0.usage.bytes.fetch_sub(count, Ordering::Relaxed);
    }

    fn add(&self, count: usize, most: usize) -> Result<(), Problem> {
        self.0.bytes.fetch_add(count, Ordering::Relaxed);
        let before = self.0.usage.bytes.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > most {
            return Err(Problem::limit("limits.request_bytes_per_connection", most));
        }
        Ok(())
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        let count = *self.bytes.get_mut();
        self.usage.bytes.fetch_sub(count, Ordering::Relaxed);
    }
}

/// Puts the bounds around the services.
#[derive(Debug, Clone)]
pub(crate) struct Bounds(pub(crate) Arc<Daemon>);

impl<S> tower::Layer<S> for Bounds {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded {
            daemon: Arc::clone(&self.0),
            inner,
        }
    }
}

/// The services within their bounds.
#[derive(Debug, Clone)]
pub(crate) struct Bounded<S> {
    daemon: Arc<Daemon>,
    inner: S,
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<http::Response<Body>, E>> + Send>>;

impl<S> Service<http::Request<Body>> for Bounded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let connection = request.extensions().get::<Connection>();
        let known = connection.and_then(|c| Some((c, self.daemon.peers.usage(c)?)));
        let Some((connection, usage)) = known else {
            // Its connection has ended, which the verb tells.
            return Box::pin(self.inner.call(request));
        };
        // A whole request, or an answer that is no refusal, makes it one to wait for.
        let first = (!connection.was_served() && self.daemon.peers.check(connection).is_ok())
            .then(|| connection.clone());
        let config = self.daemon.config();
        let limits = &config.limits;
        let is_one_of = |calls: &[&str]| {
            calls
                .iter()
                .any(|call| request.uri().path().ends_with(call))
        };
        let (is_long, goes_on) = (is_one_of(&LONG), is_one_of(&GO_ON));
        let is_streamed = is_one_of(&STREAMED);
        let place = match Place::take(&usage, goes_on, limits.calls_per_connection) {
            Ok(place) => place,
            Err(problem) => {
                let refusal = Status::from(problem).into_http();
                return Box::pin(std::future::ready(Ok(refusal)));
            }
        };
        let held = Held::new(usage);
        request.extensions_mut().insert(held.clone());
        let body = Counted {
            inner: std::mem::take(request.body_mut()),
            held: held.clone(),
            most: limits.request_bytes_per_connection,
            whole: first.clone(),
            cut: is_streamed.then(Cut::default),
        };
        *request.body_mut() = Body::new(body);
        let answer = self.inner.call(request);
        Box::pin(async move {
            if is_long {
                held.turn().await;
            }
            let response = typed(answer.await?);
            if let Some(connection) = first
                && !response.headers().contains_key(Status::GRPC_STATUS)
            {
                connection.served();
            }
            let turn = held.take_turn();
            drop(held);
            Ok(response.map(|inner| {
                Body::new(Answering {
                    inner,
                    _place: place,
                    _turn: turn,
                })
            }))
        })
    }
}

/// What tonic itself refuses before a verb is asked gets its reason, as everything that is refused has
/// one. A call that is not known keeps gRPC's own code for that: clients of other versions look for it.
fn typed(response: http::Response<Body>) -> http::Response<Body> {
    let headers = response.headers();
    if !headers.contains_key(Status::GRPC_STATUS)
        || headers.contains_key(Status::GRPC_STATUS_DETAILS)
    {
        return response;
    }
    let Some(status) = Status::from_header_map(headers) else {
        return response;
    };
    let problem = match status.code() {
        Code::Internal => Problem::bad_request("message", status.message()),
        Code::OutOfRange => {
            let mut problem = Problem::limit("message bytes", mpfork_proto::MAX_MESSAGE_BYTES);
            problem.message = status.message().to_owned();
            problem
        }
        _ => return response,
    };
    Status::from(problem).into_http()
}

/// A request's body, counted as it is read.
struct Counted {
    inner: Body,
    held: Held,
    most: usize,
    /// To be told when it has been read to its end.
    whole: Option<Connection>,
    /// Of a stream of messages: where its reader is.
    cut: Option<Cut>,
}

/// How much of the latest message of a stream has come. Each has five bytes in front of it, the last
/// four of which are its length.
#[derive(Debug, Default)]
struct Cut {
    front: Vec<u8>,
    read: usize,
    left: usize,
}

impl Cut {
    const FRONT: usize = 5;

    /// More has come; how much of a message that is not whole there is now.
    fn unfinished(&mut self, mut data: &[u8]) -> usize {
        while let Some((first, rest)) = data.split_first() {
            if self.front.len() < Self::FRONT {
                self.front.push(*first);
                data = rest;
                if let [_, a, b, c, d] = *self.front {
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                }
            } else {
                let (now, later) = data.split_at(self.left.min(data.len()));
                self.left -= now.len();
                self.read += now.len();
                data = later;
            }
            if self.front.len() == Self::FRONT && self.left == 0 {
                self.front.clear();
                self.read = 0;
            }
        }
        self.front.len() + self.read
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let count = match &mut self.cut {
                None => data.len(),
                Some(cut) => {
                    let unfinished = cut.unfinished(data);
                    self.held.release();
                    unfinished
                }
            };
            if let Err(problem) = self.held.add(count, self.most) {
                return Poll::Ready(Some(Err(problem.into())));
            }
        }
        if self.inner.is_end_stream()
            && let Some(connection) = self.whole.take()
        {
            connection.served();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body, whose end is the call's.
struct Answering {
    inner: Body,
    _place: Place,
    _turn: Option<Turn>,
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_stream_only_the_message_that_is_not_whole_counts() {
        let stream = [
            &[0, 0, 0, 0, 3][..],
            b"abc",
            &[0; 5],
            &[0, 0, 0, 1, 0],
            b"much",
        ]
        .concat();
        for step in 1..stream.len() {
            let mut cut = Cut::default();
            let counts: Vec<usize> = stream.chunks(step).map(|c| cut.unfinished(c)).collect();
            assert_eq!(counts.last(), Some(&9), "{step}: {counts:?}");
            if step == 1 {
                assert_eq!(counts[..8], [1, 2, 3, 4, 5, 6, 7, 0]);
                assert_eq!(counts[8..14], [1, 2, 3, 4, 0, 1]);
            }
        }
    }
}
