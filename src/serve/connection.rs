//! One connection: bytes in and out, who is at the other end, and its place
//! among the connections that may be open.

use crate::authn::Caller;
use prometheus_client::metrics::gauge::Gauge;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// The length of the HTTP/2 preface (RFC 9113, 3.4).
const PREFACE_BYTES: usize = 24;

/// A connection that may carry calls.
pub struct Connection {
    io: Io,
    caller: Caller,
    /// The time within which the preface must come, and what is missing of it.
    /// From then on HTTP/2's own keep-alive sees to it that the peer is there.
    preface: Option<(Pin<Box<Sleep>>, usize)>,
    _place: Place,
}

/// The bytes below HTTP/2.
pub(super) enum Io {
    /// TLS 1.3.
    Tls(Box<TlsStream<TcpStream>>),
    /// Plain TCP.
    Plain(TcpStream),
}

/// One of the connections that may be open; given back when dropped.
pub(super) struct Place {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Counts in `open` for as long as it lives.
    pub(super) fn new(permit: OwnedSemaphorePermit, open: &Gauge) -> Self {
        open.inc();
        Self {
            open: open.clone(),
            _permit: permit,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Connection {
    pub(super) fn new(io: Io, caller: Caller, place: Place, preface_time: Duration) -> Self {
        Self {
            io,
            caller,
            preface: Some((Box::pin(sleep(preface_time)), PREFACE_BYTES)),
            _place: place,
        }
    }
}

impl Connected for Connection {
    /// Found in the extensions of each request.
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.io {
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let Some((deadline, missing)) = &mut self.preface else {
            return read;
        };
        *missing = missing.saturating_sub(buf.filled().len().saturating_sub(before));
        if *missing == 0 {
            self.preface = None;
        } else if read.is_pending() && deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Tls(stream) => stream.is_write_vectored(),
            Io::Plain(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
