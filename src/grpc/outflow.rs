//! How an answer of many messages flows out: one waits while another is on its
//! way, in a task of its own, and it ends well only where the task says so.

use super::places::Place;
use super::status::status;
use crate::error::{Error, Result};
use crate::limits;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::mpsc::{self, Permit};
use tokio_stream::Stream;
use tonic::Status;

/// The messages of one answer. It holds the stream's room, so that a reader who
/// lets a message lie keeps the memory of no more than its share.
pub struct Outflow<T> {
    ready: mpsc::Receiver<T>,
    end: Arc<End>,
    _place: Arc<Place>,
}

/// Where the messages are sent.
pub(super) struct Outlet<T>(mpsc::Sender<T>);

/// Why the stream ends after its last message; an error until it ends well, so
/// that what was cut off never looks complete.
struct End(Mutex<Option<Error>>);

impl End {
    fn is(&self, why: Option<Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Outflow<T> {
    /// Runs what `send` makes of an outlet to its end. The room is given back
    /// when both are done: whoever reads, and whoever sends.
    pub(super) fn of<F>(place: Place, send: impl FnOnce(Outlet<T>) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, ready) = mpsc::channel(1);
        let cut = Error::Internal("a stream ended by itself");
        let end = Arc::new(End(Mutex::new(Some(cut))));
        let place = Arc::new(place);
        let outflow = Self {
            ready,
            end: Arc::clone(&end),
            _place: Arc::clone(&place),
        };
        let sending = send(Outlet(sender.clone()));
        tokio::spawn(async move {
            end.is(sending.await.err());
            // Only now does the reader see the end.
            drop((sender, place));
        });
        outflow
    }
}

impl<T> Stream for Outflow<T> {
    type Item = std::result::Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(cx).map(|ready| match ready {
            Some(message) => Some(Ok(message)),
            None => self.end.take().map(|error| Err(status(&error))),
        })
    }
}

impl<T> Outlet<T> {
    /// Waits for room for a message, for as long as a reader may let one lie;
    /// `None` where the reader went away.
    pub(super) async fn room(&self) -> Result<Option<Permit<'_, T>>> {
        tokio::time::timeout(limits::STREAM_STALL_TIME, self.0.reserve())
            .await
            .map(std::result::Result::ok)
            .map_err(|_| Error::DeadlineExceeded)
    }

    /// Until the reader goes away.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }
}

/// All of a stream, within the time that one may take.
pub(super) async fn in_time(all: impl Future<Output = Result<()>>) -> Result<()> {
    let ended = tokio::time::timeout(limits::STREAM_TIME, all).await;
    ended.unwrap_or(Err(Error::DeadlineExceeded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::places::Places;
    use tokio_stream::StreamExt;
    use tonic::Code;

    fn place() -> Place {
        Places::default().one_of(&Arc::default()).unwrap()
    }

    #[tokio::test]
    async fn a_stream_that_was_cut_off_never_looks_complete() {
        let mut cut = Outflow::of(place(), |outlet: Outlet<u8>| async move {
            outlet.room().await?.unwrap().send(1);
            Err(Error::DeadlineExceeded)
        });
        assert_eq!(cut.next().await.unwrap().unwrap(), 1);
        let last = cut.next().await.unwrap().err().unwrap();
        assert_eq!(last.code(), Code::DeadlineExceeded);
        assert!(cut.next().await.is_none());

        let mut died = Outflow::of(place(), |outlet: Outlet<u8>| async move {
            outlet.room().await?.unwrap().send(1);
            std::panic::resume_unwind(Box::new("a task that dies"))
        });
        assert_eq!(died.next().await.unwrap().unwrap(), 1);
        let last = died.next().await.unwrap().err().unwrap();
        assert_eq!(last.code(), Code::Internal);

        let mut whole = Outflow::of(place(), |outlet: Outlet<u8>| async move {
            outlet.room().await?.unwrap().send(1);
            Ok(())
        });
        assert_eq!(whole.next().await.unwrap().unwrap(), 1);
        assert!(whole.next().await.is_none(), "this one ended well");
    }

    /// The error finds no room in the channel, and is heard all the same.
    #[tokio::test]
    async fn a_reader_who_comes_late_hears_why_it_ended() {
        let mut cut = Outflow::of(place(), |outlet: Outlet<u8>| async move {
            outlet.room().await?.unwrap().send(1);
            Err(Error::CustomerErased)
        });
        tokio::task::yield_now().await;
        assert_eq!(cut.next().await.unwrap().unwrap(), 1);
        assert!(cut.next().await.unwrap().is_err());
    }
}
