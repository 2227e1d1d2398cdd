//! The port for operators: `/metrics` (OpenMetrics), `/healthz` (the process
//! lives) and `/readyz` (calls are served). HTTP/1.1 without TLS, and
//! therefore on loopback only; `config` refuses anything else.

use crate::error::Result;
use crate::limits;
use crate::metrics::Metrics;
use crate::serve::listener::bind;
use crate::serve::readiness::{Readiness, State};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// The endpoint, bound but not yet answering.
pub struct Probes {
    socket: TcpListener,
    address: SocketAddr,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
}

impl Probes {
    /// Binds the socket; port 0 lets the system choose.
    ///
    /// # Errors
    /// [`crate::error::Error::Setup`] when the address cannot be had.
    pub async fn bind(
        address: SocketAddr,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> Result<Self> {
        let (socket, address) = bind(address, "metrics").await?;
        Ok(Self {
            socket,
            address,
            metrics,
            readiness,
        })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped: one request a connection, a bounded number
    /// of connections, a bounded time for each.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(limits::PROBE_CONNECTIONS));
        let probes = Arc::new(self);
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = probes.socket.accept().await else {
                probes.metrics.accept_failures.inc();
                sleep(limits::ACCEPT_PAUSE_MAX).await;
                continue;
            };
            let probes = probes.clone();
            tokio::spawn(async move {
                // Late or broken, the connection just ends.
                let _ = timeout(limits::PROBE_TIME, probes.answer_one(stream)).await;
                drop(place);
            });
        }
    }

    async fn answer_one(&self, stream: TcpStream) -> hyper::Result<()> {
        let answer = |request: Request<Incoming>| async move {
            Ok::<_, Infallible>(self.answer(request.method(), request.uri().path()))
        };
        http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        const TEXT: &str = "text/plain; charset=utf-8";
        let state = self.readiness.state();
        let (status, kind, body) = match path {
            _ if !matches!(*method, Method::GET | Method::HEAD) => {
                let cure = "only GET is answered here\n";
                (StatusCode::METHOD_NOT_ALLOWED, TEXT, cure.to_owned())
            }
            "/metrics" => (StatusCode::OK, OPEN_METRICS, self.metrics.text()),
            "/healthz" => (StatusCode::OK, TEXT, "alive\n".to_owned()),
            "/readyz" => {
                let status = match state {
                    State::Ready | State::Troubled(_) => StatusCode::OK,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
                (status, TEXT, format!("{}\n", state.word()))
            }
            _ => {
                let cure = "there are /metrics, /healthz and /readyz\n";
                (StatusCode::NOT_FOUND, TEXT, cure.to_owned())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
        response
    }
}
