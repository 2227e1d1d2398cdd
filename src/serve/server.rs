//! Runs a service with every limit of HTTP/2 set, and ends it in order.

use crate::error::{Error, Result};
use crate::limits;
use crate::serve::listener::Incoming;
use crate::serve::readiness::{Readiness, State};
use http::{Request, Response};
use hyper::body::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::transport::Server;
use tower::{BoxError, Service};

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every call under way was answered.
    All,
    /// Some calls took longer than [`Times::drain`]; their connections
    /// end with the process.
    CutShort,
}

/// How long peers and drains may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// After this long without a word from it a peer is asked (HTTP/2 PING).
    pub keepalive_interval: Duration,
    /// How long its answer may take before the connection is closed.
    pub keepalive_timeout: Duration,
    /// How long a drain waits for calls under way.
    pub drain: Duration,
}

impl Default for Times {
    /// Those of [`limits`]. Others are for tests.
    fn default() -> Self {
        Self {
            keepalive_interval: limits::KEEPALIVE_INTERVAL,
            keepalive_timeout: limits::KEEPALIVE_TIMEOUT,
            drain: limits::DRAIN_TIME,
        }
    }
}

/// Serves `service` on `incoming` until `stop` completes, then drains: health
/// turns to NOT_SERVING, no more connections are accepted, every client is
/// told to go elsewhere (GOAWAY), and calls under way may finish.
///
/// Message sizes are bounded where the services are built; here all the rest.
///
/// # Errors
/// [`Error::Internal`] when the transport fails; single connections that fail
/// do not end it.
pub async fn serve<S, B>(
    service: S,
    incoming: Incoming,
    readiness: Arc<Readiness>,
    stop: impl Future<Output = ()>,
    times: Times,
) -> Result<Drained>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (drain, drained) = oneshot::channel::<()>();
    let serving = builder(times).serve_with_incoming_shutdown(service, incoming, async {
        // The sender lives as long as this function.
        let _ = drained.await;
    });
    let mut serving = std::pin::pin!(serving);
    let failed = |_| Error::Internal("the gRPC transport failed");
    tokio::select! {
        ended = &mut serving => {
            ended.map_err(failed)?;
            return Err(Error::Internal("the accept loop ended by itself"));
        }
        () = stop => {}
    }
    readiness.set(State::Draining).await;
    let _ = drain.send(());
    match timeout(times.drain, serving).await {
        Ok(ended) => ended.map(|()| Drained::All).map_err(failed),
        Err(_) => {
            tracing::warn!("calls were still under way at the end of the drain");
            Ok(Drained::CutShort)
        }
    }
}

/// Every setting that tonic leaves open. Its TCP settings are missing: they
/// are ignored for an accept loop of one's own, which sets them itself.
fn builder(times: Times) -> Server {
    Server::builder()
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(limits::HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(limits::PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(limits::ERROR_RESETS))
        .http2_keepalive_interval(Some(times.keepalive_interval))
        .http2_keepalive_timeout(Some(times.keepalive_timeout))
        .http2_adaptive_window(Some(false))
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_frame_size(limits::FRAME_BYTES)
        .accept_http1(false)
}

/// Completes at the first SIGTERM or SIGINT.
///
/// # Errors
/// [`Error::Internal`] when the signals cannot be caught.
pub fn stop_signal() -> Result<impl Future<Output = ()> + Send> {
    let caught = |kind| signal(kind).map_err(|_| Error::Internal("a signal cannot be caught"));
    let mut terminate = caught(SignalKind::terminate())?;
    let mut interrupt = caught(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
