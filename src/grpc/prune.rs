//! AuditService: pruning, and how far it is.

use super::call::Guarded;
use super::outflow::{Outflow, Outlet, in_time};
use super::places::Place;
use super::value::{instant, timestamp};
use crate::access::PruneEntries;
use crate::error::{Error, Result, Violation};
use crate::limits;
use crate::pb;
use crate::vault::{PruneStage, PruneView, Vault};
use tokio::sync::mpsc;

/// What whoever asked is sent.
pub type Pruning = Outflow<pb::PruneEntriesResponse>;

/// PruneEntries.
pub async fn begin(
    vault: &Vault,
    guarded: &Guarded,
    asked: pb::PruneEntriesRequest,
    place: Place,
) -> Result<Pruning> {
    if asked.reason.len() > limits::APPROVAL_REASON_BYTES / 2 {
        let rule = format!(
            "must be at most {} bytes",
            limits::APPROVAL_REASON_BYTES / 2
        );
        return Err(Error::invalid(Violation::new("reason", rule)));
    }
    let before = instant("before_time", asked.before_time)?;
    let must = || Error::invalid(Violation::new("before_time", "must say before which day"));
    let target = PruneEntries {
        before: before.ok_or_else(must)?.day(),
        dry_run: asked.dry_run,
        reason: asked.reason,
    };
    let grant = guarded.rules.prune_entries(&guarded.principal, target)?;
    let views = vault.prune_entries(&guarded.call, &grant).await?;
    Ok(Outflow::of(place, move |outlet| async move {
        in_time(send(views, &outlet)).await
    }))
}

/// Whoever goes away stops nothing: the vault prunes on.
async fn send(
    mut views: mpsc::Receiver<Result<PruneView>>,
    outlet: &Outlet<pb::PruneEntriesResponse>,
) -> Result<()> {
    while let Some(view) = views.recv().await {
        let Some(room) = outlet.room().await? else {
            return Ok(());
        };
        room.send(message(view?));
    }
    Ok(())
}

fn message(view: PruneView) -> pb::PruneEntriesResponse {
    let stage = match view.stage {
        PruneStage::Looking => pb::PruneStage::Looking,
        PruneStage::Removing => pb::PruneStage::Removing,
        PruneStage::Done => pb::PruneStage::Done,
    };
    pb::PruneEntriesResponse {
        stage: stage.into(),
        done: view.done.cast_signed(),
        total: view.total.cast_signed(),
        before: view.before.cast_signed(),
        kept: view.kept.cast_signed(),
        complete_from_time: view.complete_from.map(timestamp),
        held_by: view.held_by.to_owned(),
    }
}
