//! The accept loop. It is our own because tonic's has no bound on connections
//! or handshakes, lets one slow handshake hold up all others, and spins when
//! file descriptors run out.

use crate::authn::{Authn, Caller};
use crate::error::{Error, Result};
use crate::limits;
use crate::metrics::Metrics;
use crate::serve::connection::{Connection, Io, Place};
use crate::serve::tls::Tls;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;

/// How a connection is secured.
pub enum Security {
    /// TLS 1.3 with client certificates.
    Tls(Arc<Tls>, Arc<Authn>),
    /// None: everybody who connects is this caller.
    Plaintext(Caller),
}

/// How many connections at a time, and how long their beginnings may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Open connections, handshakes among them.
    pub connections: usize,
    /// Handshakes under way.
    pub handshakes: usize,
    /// A handshake.
    pub handshake_time: Duration,
    /// From the handshake to the HTTP/2 preface.
    pub preface_time: Duration,
}

impl Default for Bounds {
    /// Those of [`limits`]. Others are for tests.
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            handshakes: limits::HANDSHAKES,
            handshake_time: limits::HANDSHAKE_TIME,
            preface_time: limits::PREFACE_TIME,
        }
    }
}

/// A bound socket that does not accept yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    door: Arc<Door>,
}

/// What every connection passes.
struct Door {
    security: Security,
    bounds: Bounds,
    metrics: Arc<Metrics>,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

/// The connections, as they become ready. Dropping it closes the socket.
pub struct Incoming(mpsc::Receiver<Connection>);

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|next| next.map(Ok))
    }
}

impl Listener {
    /// Binds the socket; port 0 lets the system choose.
    ///
    /// # Errors
    /// [`Error::Setup`] when the address cannot be had.
    pub async fn bind(
        address: SocketAddr,
        security: Security,
        bounds: Bounds,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let (socket, address) = bind(address, "listen").await?;
        let door = Door {
            security,
            bounds,
            metrics,
            connections: Arc::new(Semaphore::new(bounds.connections)),
            handshakes: Arc::new(Semaphore::new(bounds.handshakes)),
        };
        Ok(Self {
            socket,
            address,
            door: Arc::new(door),
        })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept, until the result is dropped.
    pub fn start(self) -> Incoming {
        let (ready, incoming) = mpsc::channel(1);
        tokio::spawn(async move {
            tokio::select! {
                () = ready.closed() => {}
                () = self.accept(&ready) => {}
            }
        });
        Incoming(incoming)
    }

    async fn accept(&self, ready: &mpsc::Sender<Connection>) {
        let mut pause = limits::ACCEPT_PAUSE;
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    pause = limits::ACCEPT_PAUSE;
                    self.let_in(stream, ready).await;
                }
                Err(why) if only_that_peer(&why) => {}
                Err(why) => {
                    // The peer stays in the queue, so trying again at once
                    // would fail at once.
                    self.door.metrics.accept_failures.inc();
                    tracing::warn!(
                        kind = %why.kind(),
                        code = why.raw_os_error(),
                        pause_ms = pause.as_millis(),
                        "a connection cannot be accepted; \
                         when descriptors are short, raise ulimit -n"
                    );
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(limits::ACCEPT_PAUSE_MAX);
                }
            }
        }
    }

    /// Over the bound on connections the new one is closed at once, so that
    /// the peer can go elsewhere; over the bound on handshakes it waits its
    /// turn, which is short because each handshake's time is bounded.
    async fn let_in(&self, stream: TcpStream, ready: &mpsc::Sender<Connection>) {
        let door = self.door.clone();
        let Ok(permit) = door.connections.clone().try_acquire_owned() else {
            door.metrics.refused("full");
            return;
        };
        let Ok(turn) = door.handshakes.clone().acquire_owned().await else {
            return;
        };
        let ready = ready.clone();
        tokio::spawn(async move {
            let connection = door.handshake(stream, permit).await;
            drop(turn);
            if let Some(connection) = connection {
                // Nobody receives any more when the server is draining.
                let _ = ready.send(connection).await;
            }
        });
    }
}

impl Door {
    async fn handshake(
        &self,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
    ) -> Option<Connection> {
        if let Err(why) = set_options(&stream) {
            tracing::debug!(kind = %why.kind(), "a connection was gone before it began");
            return None;
        }
        let place = Place::new(permit, &self.metrics.connections);
        let begin = |io, caller| Connection::new(io, caller, place, self.bounds.preface_time);
        let (tls, authn) = match &self.security {
            Security::Plaintext(caller) => return Some(begin(Io::Plain(stream), caller.clone())),
            Security::Tls(tls, authn) => (tls, authn),
        };
        let accept = TlsAcceptor::from(tls.current()).accept(stream);
        match timeout(self.bounds.handshake_time, accept).await {
            Ok(Ok(stream)) => {
                let caller = match stream.get_ref().1.peer_certificates() {
                    // Only the leaf: how much of the chain comes along is the
                    // client's choice.
                    Some([leaf, ..]) => authn.caller(leaf),
                    _ => Caller::without_certificate(),
                };
                Some(begin(Io::Tls(Box::new(stream)), caller))
            }
            Ok(Err(why)) => {
                self.metrics.refused("handshake_failed");
                tracing::debug!(kind = %why.kind(), "a TLS handshake failed");
                None
            }
            Err(_) => {
                self.metrics.refused("handshake_slow");
                None
            }
        }
    }
}

/// Binds a listening socket; `key` is the configuration's name for it.
///
/// # Errors
/// [`Error::Setup`] when the address cannot be had.
pub(super) async fn bind(address: SocketAddr, key: &str) -> Result<(TcpListener, SocketAddr)> {
    let refused = |why: io::Error| {
        Error::Setup(format!(
            "{address} cannot be listened on: {}; stop whoever has it (ss -ltnp shows it), \
             or change {key} in the configuration",
            why.kind()
        ))
    };
    let socket = TcpListener::bind(address).await.map_err(refused)?;
    let bound = socket.local_addr().map_err(refused)?;
    Ok((socket, bound))
}

/// tonic's settings for these are ignored for connections that it did not
/// accept itself.
fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(stream, limits::TCP_KEEPALIVE)?;
    Ok(())
}

/// Errors that accept(2) hands on from a connection that broke before it was
/// accepted: the next one may be fine.
fn only_that_peer(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}
