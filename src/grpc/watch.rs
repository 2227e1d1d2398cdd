//! WatchRequests: each request that changes, as long as the caller may watch.

use super::call::Guarded;
use super::outflow::{Outflow, Outlet, in_time};
use super::places::Place;
use super::rights_message::nameless;
use crate::access::Action;
use crate::error::Result;
use crate::pb;
use crate::vault::Vault;
use crate::vault::rights::Changes;
use std::sync::Arc;

type Message = pb::WatchRequestsResponse;

/// What a watcher is sent.
pub type Watching = Outflow<Message>;

/// Begins to send what changes from here on.
pub async fn watch(vault: Vault, guarded: &Arc<Guarded>, place: Place) -> Result<Watching> {
    let (rules, who) = (&guarded.rules, &guarded.principal);
    let grant = rules.list_requests(who, Action::WatchRequests)?;
    let changes = vault.watch_requests(&guarded.call, &grant).await?;
    let guarded = Arc::clone(guarded);
    Ok(Outflow::of(place, move |outlet| async move {
        in_time(send(vault, guarded, changes, &outlet)).await
    }))
}

async fn send(
    vault: Vault,
    mut guarded: Arc<Guarded>,
    mut changes: Changes,
    outlet: &Outlet<Message>,
) -> Result<()> {
    loop {
        let number = tokio::select! {
            () = outlet.gone() => return Ok(()),
            number = changes.next() => number?,
        };
        guarded = guarded.renewed()?;
        let (rules, who) = (&guarded.rules, &guarded.principal);
        let grant = rules.list_requests(who, Action::WatchRequests)?;
        let Some(view) = vault.request_now(&grant, number).await? else {
            continue;
        };
        let Some(room) = outlet.room().await? else {
            return Ok(());
        };
        room.send(Message {
            request: Some(nameless(view)),
        });
    }
}
