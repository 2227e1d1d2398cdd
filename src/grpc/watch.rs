//! WatchRequests: each request that changes, as long as the caller may watch.

use super::call::Guarded;
use super::rights::nameless;
use super::status::status;
use super::stream::Place;
use crate::access::Action;
use crate::error::{Error, Result};
use crate::limits;
use crate::pb;
use crate::vault::Vault;
use crate::vault::rights::Changes;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

type Message = pb::WatchRequestsResponse;

/// What a watcher is sent.
pub struct Watching {
    ready: mpsc::Receiver<std::result::Result<Message, Status>>,
    _place: Place,
}

impl Stream for Watching {
    type Item = std::result::Result<Message, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(cx)
    }
}

/// Begins to send what changes from here on.
pub async fn watch(vault: Vault, guarded: &Arc<Guarded>, place: Place) -> Result<Watching> {
    let (rules, who) = (&guarded.rules, &guarded.principal);
    let grant = rules.list_requests(who, Action::WatchRequests)?;
    let changes = vault.watch_requests(&guarded.call, &grant).await?;
    let (sender, ready) = mpsc::channel(1);
    let guarded = Arc::clone(guarded);
    tokio::spawn(async move {
        let all = send(vault, guarded, changes, &sender);
        let ended = tokio::select! {
            ended = tokio::time::timeout(limits::STREAM_TIME, all) => ended,
            () = sender.closed() => return,
        };
        if let Err(error) = ended.unwrap_or(Err(Error::DeadlineExceeded)) {
            // The watcher may be gone.
            let _ = sender.send(Err(status(&error))).await;
        }
    });
    Ok(Watching {
        ready,
        _place: place,
    })
}

async fn send(
    vault: Vault,
    mut guarded: Arc<Guarded>,
    mut changes: Changes,
    sender: &mpsc::Sender<std::result::Result<Message, Status>>,
) -> Result<()> {
    loop {
        let number = changes.next().await?;
        guarded = guarded.renewed()?;
        let (rules, who) = (&guarded.rules, &guarded.principal);
        let grant = rules.list_requests(who, Action::WatchRequests)?;
        let Some(view) = vault.request_now(&grant, number).await? else {
            continue;
        };
        let message = Message {
            request: Some(nameless(view)),
        };
        let sent = tokio::time::timeout(limits::STREAM_STALL_TIME, sender.send(Ok(message)));
        if !matches!(sent.await, Ok(Ok(()))) {
            return Ok(());
        }
    }
}
