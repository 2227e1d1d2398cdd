//! AuditService.

use super::call::Guarded;
use super::outflow::{Outflow, Outlet, in_time};
use super::places::Places;
use super::prune::{self, Pruning};
use super::value::{instant, timestamp};
use crate::access::{Action, Entries, Grant};
use crate::clock::Instant;
use crate::error::{Error, Result, Violation};
use crate::id::CustomerId;
use crate::limits;
use crate::pb;
use crate::pb::audit_service_server::AuditService;
use crate::vault::{EntryFilter, EntryView, Vault};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Audit {
    /// The vault.
    pub vault: Vault,
    /// Room for streams.
    pub streams: Places,
}

type Reply<T> = std::result::Result<Response<T>, Status>;
type Watched = pb::WatchEntriesResponse;

fn filter(asked: Option<pb::EntryFilter>) -> Result<EntryFilter> {
    let asked = asked.unwrap_or_default();
    for (field, text) in [
        ("filter.principal", &asked.principal),
        ("filter.purpose", &asked.purpose),
        ("filter.method", &asked.method),
        ("filter.verdict", &asked.verdict),
        ("filter.record_type", &asked.record_type),
    ] {
        if text.len() > 2 * limits::LABEL_BYTES + 1 {
            return Err(Error::invalid(Violation::new(field, "is too long")));
        }
    }
    Ok(EntryFilter {
        from: instant("filter.from_time", asked.from_time)?,
        to: instant("filter.to_time", asked.to_time)?,
        principal: asked.principal,
        purpose: asked.purpose,
        method: asked.method,
        verdict: asked.verdict,
        record_type: asked.record_type,
    })
}

fn number(field: &'static str, number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::invalid(Violation::new(field, "must not be negative")))
}

fn wire(entry: EntryView) -> pb::Entry {
    pb::Entry {
        number: entry.number.cast_signed(),
        leaf: entry.leaf,
    }
}

impl Audit {
    async fn list(
        &self,
        guarded: &Guarded,
        asked: pb::ListEntriesRequest,
    ) -> Result<pb::ListEntriesResponse> {
        let grant = guarded
            .rules
            .entries(&guarded.principal, Action::ListEntries)?;
        let most = match asked.page_size {
            0 => limits::LIST_PAGE_DEFAULT,
            size => usize::try_from(size).unwrap_or(0),
        };
        if !(1..=limits::LIST_PAGE_MAX).contains(&most) {
            let rule = format!("must be 1 to {}, or 0", limits::LIST_PAGE_MAX);
            return Err(Error::invalid(Violation::new("page_size", rule)));
        }
        let after = match asked.page_token.as_str() {
            "" => 0,
            token => token.parse().map_err(|_| {
                let rule = "must be the next_page_token of a reply";
                Error::invalid(Violation::new("page_token", rule))
            })?,
        };
        let filter = filter(asked.filter)?;
        let page = self
            .vault
            .list_entries(&guarded.call, grant, filter, after, most);
        let page = page.await?.release();
        Ok(pb::ListEntriesResponse {
            next_page_token: if page.is_end {
                String::new()
            } else {
                page.seen.to_string()
            },
            entries: page.entries.into_iter().map(wire).collect(),
        })
    }

    async fn of_customer(
        &self,
        guarded: &Guarded,
        asked: pb::ListCustomerEntriesRequest,
    ) -> Result<pb::ListCustomerEntriesResponse> {
        guarded.about(&asked.name);
        let id = CustomerId::parse_name("name", &asked.name)?;
        let to = instant("to_time", asked.to_time)?.unwrap_or_else(Instant::now);
        let from = instant("from_time", asked.from_time)?
            .ok_or_else(|| Error::invalid(Violation::new("from_time", "must say from when on")))?;
        let grant = guarded.rules.customer_entries(&guarded.principal, id)?;
        let found = self
            .vault
            .list_customer_entries(&guarded.call, grant, (from, to));
        let found = found.await?.release();
        let entries = found.entries.into_iter().map(|of| pb::CustomerEntry {
            entry: Some(wire(of.entry)),
            records: of
                .records
                .into_iter()
                .map(|(record, revision)| pb::RecordTouched {
                    record: record.cast_signed(),
                    revision: revision.cast_signed(),
                })
                .collect(),
        });
        Ok(pb::ListCustomerEntriesResponse {
            entries: entries.collect(),
            truncated: found.is_cut,
            complete_from_time: found.complete_from.map(timestamp),
        })
    }

    async fn watch(
        &self,
        guarded: &Arc<Guarded>,
        asked: pb::WatchEntriesRequest,
    ) -> Result<Outflow<Watched>> {
        let place = self.streams.take(&guarded.principal)?;
        let (after, filter) = (number("after", asked.after)?, filter(asked.filter)?);
        let grant = watching(guarded)?;
        let seen = self.vault.watch_entries(&guarded.call, &grant, after);
        let mut watching = Watching {
            vault: self.vault.clone(),
            guarded: Arc::clone(guarded),
            seen: seen.await?,
            filter,
        };
        Ok(Outflow::of(place, move |outlet| async move {
            in_time(watching.send(&outlet)).await
        }))
    }

    async fn checkpoint(&self, guarded: &Guarded) -> Result<pb::GetCheckpointResponse> {
        let grant = guarded
            .rules
            .entries(&guarded.principal, Action::GetCheckpoint)?;
        let row = self.vault.checkpoint(&guarded.call, grant).await?;
        Ok(pb::GetCheckpointResponse {
            note: row.note,
            size: row.size.cast_signed(),
            sign_time: Some(timestamp(Instant::from_micros(row.time))),
        })
    }

    async fn proof(
        &self,
        guarded: &Guarded,
        asked: &pb::GetEntryProofRequest,
    ) -> Result<pb::GetEntryProofResponse> {
        let number = number("number", asked.number)?;
        let grant = guarded
            .rules
            .entries(&guarded.principal, Action::GetEntryProof)?;
        let proof = self.vault.prove_entry(&guarded.call, grant, number).await?;
        Ok(pb::GetEntryProofResponse { proof })
    }
}

fn watching(guarded: &Guarded) -> Result<Grant<Entries>> {
    guarded
        .rules
        .entries(&guarded.principal, Action::WatchEntries)
}

/// A watch under way.
struct Watching {
    vault: Vault,
    guarded: Arc<Guarded>,
    seen: u64,
    filter: EntryFilter,
}

impl Watching {
    /// Sends what comes, by the rules that are in force then, until the caller
    /// goes away or may watch no more.
    async fn send(&mut self, outlet: &Outlet<Watched>) -> Result<()> {
        let mut look = tokio::time::interval(limits::SEAL_EVERY);
        loop {
            tokio::select! {
                () = outlet.gone() => return Ok(()),
                _ = look.tick() => {}
            }
            self.guarded = self.guarded.renewed()?;
            let grant = watching(&self.guarded)?;
            let most = limits::LIST_PAGE_MAX;
            let page = self.vault.entries(&grant, &self.filter, self.seen, most);
            let page = page.await?;
            self.seen = page.seen;
            if page.entries.is_empty() {
                continue;
            }
            let Some(room) = outlet.room().await? else {
                return Ok(());
            };
            room.send(pb::WatchEntriesResponse {
                seen: page.seen.cast_signed(),
                entries: page.entries.into_iter().map(wire).collect(),
            });
        }
    }
}

#[tonic::async_trait]
impl AuditService for Audit {
    type WatchEntriesStream = Outflow<Watched>;
    type PruneEntriesStream = Pruning;

    async fn list_entries(
        &self,
        request: Request<pb::ListEntriesRequest>,
    ) -> Reply<pb::ListEntriesResponse> {
        let guarded = Guarded::of(&request)?;
        let listed = self.list(&guarded, request.into_inner()).await;
        guarded.answer(listed)
    }

    async fn list_customer_entries(
        &self,
        request: Request<pb::ListCustomerEntriesRequest>,
    ) -> Reply<pb::ListCustomerEntriesResponse> {
        let guarded = Guarded::of(&request)?;
        let listed = self.of_customer(&guarded, request.into_inner()).await;
        guarded.answer(listed)
    }

    async fn watch_entries(
        &self,
        request: Request<pb::WatchEntriesRequest>,
    ) -> Reply<Self::WatchEntriesStream> {
        let guarded = Guarded::of(&request)?;
        let watched = self.watch(&guarded, request.into_inner()).await;
        guarded.answer(watched)
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Reply<pb::GetCheckpointResponse> {
        let guarded = Guarded::of(&request)?;
        let newest = self.checkpoint(&guarded).await;
        guarded.answer(newest)
    }

    async fn get_entry_proof(
        &self,
        request: Request<pb::GetEntryProofRequest>,
    ) -> Reply<pb::GetEntryProofResponse> {
        let guarded = Guarded::of(&request)?;
        let proven = self.proof(&guarded, &request.into_inner()).await;
        guarded.answer(proven)
    }

    async fn prune_entries(
        &self,
        request: Request<pb::PruneEntriesRequest>,
    ) -> Reply<Self::PruneEntriesStream> {
        let guarded = Guarded::of(&request)?;
        let begun = match self.streams.take(&guarded.principal) {
            Ok(place) => prune::begin(&self.vault, &guarded, request.into_inner(), place).await,
            Err(full) => Err(full),
        };
        guarded.answer(begun)
    }
}
