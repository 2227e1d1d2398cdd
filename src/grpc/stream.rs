//! StreamRecords: chunk after chunk, each decided anew where the rules have
//! changed, each written down before it leaves.

use super::asked::Asked;
use super::call::Guarded;
use super::metadata::record;
use super::outflow::{Outflow, Outlet, in_time};
use super::places::Place;
use crate::access::{Grant, Read, ReadTarget};
use crate::error::{Error, Result};
use crate::pb;
use crate::vault::{Chunk, Vault};
use std::collections::BTreeMap;
use std::sync::Arc;

type Message = pb::StreamRecordsResponse;

/// The chunks of one stream.
pub type Chunks = Outflow<Message>;

/// A stream under way.
struct Streaming {
    vault: Vault,
    guarded: Arc<Guarded>,
    asked: pb::StreamRecordsRequest,
    grant: Arc<Grant<Read>>,
    cursor: String,
}

/// Opens a stream. Its first chunk is ready when this returns, so that a
/// refusal is the call's own answer.
pub async fn open(
    vault: Vault,
    guarded: &Arc<Guarded>,
    asked: pb::StreamRecordsRequest,
    place: Place,
) -> Result<Chunks> {
    guarded.asks(&asked.record_type, &asked.purpose);
    let grant = Arc::new(decide(guarded, &asked)?);
    let mut streaming = Streaming {
        vault,
        guarded: Arc::clone(guarded),
        cursor: asked.cursor.clone(),
        asked,
        grant,
    };
    let first = streaming.next().await?;
    if first.is_none() {
        streaming.record_empty().await?;
    }
    Ok(Outflow::of(place, move |outlet| async move {
        match in_time(streaming.send(first, &outlet)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(streaming.refuse(error).await),
        }
    }))
}

fn decide(guarded: &Guarded, asked: &pb::StreamRecordsRequest) -> Result<Grant<Read>> {
    let read = Asked {
        record_type: &asked.record_type,
        purpose: &asked.purpose,
        fields: &asked.fields,
        mode: asked.mode,
        with_handle: asked.with_handle,
    };
    read.grant(guarded, ReadTarget::All)
}

impl Streaming {
    /// The next chunk, durable in the log.
    async fn next(&mut self) -> Result<Option<Chunk>> {
        let chunk = self
            .vault
            .stream_chunk(&self.guarded.call, &self.grant, &self.cursor)
            .await?;
        Ok(chunk.map(|chunk| {
            let chunk = chunk.release();
            self.cursor.clone_from(&chunk.cursor);
            chunk
        }))
    }

    async fn send(&mut self, first: Option<Chunk>, outlet: &Outlet<Message>) -> Result<()> {
        let mut next = first;
        while let Some(chunk) = next {
            let message = self.message(&chunk);
            drop(chunk);
            let Some(place) = outlet.room().await? else {
                return Ok(());
            };
            place.send(message);
            // The next one is opened when this one was taken, not before: an
            // erasure stops a stream within one chunk.
            if outlet.room().await?.is_none() {
                return Ok(());
            }
            next = self.again().await?;
        }
        Ok(())
    }

    /// Writes down why the stream ends before its end; answers what the caller
    /// may hear of it. The chunks before are written down already.
    async fn refuse(&self, error: Error) -> Error {
        self.guarded
            .asks(&self.asked.record_type, &self.asked.purpose);
        let (refused, _) = self.guarded.take_refusal();
        let call = &self.guarded.call;
        let written = self.vault.record_refusal(call, refused, &error).await;
        written.err().unwrap_or_else(|| self.guarded.hide(error))
    }

    /// The next chunk by the rules that are in force now, if the caller still
    /// counts.
    async fn again(&mut self) -> Result<Option<Chunk>> {
        self.guarded = self.guarded.renewed()?;
        self.grant = Arc::new(decide(&self.guarded, &self.asked)?);
        self.next().await
    }

    /// A stream of nothing is written down too.
    async fn record_empty(&self) -> Result<()> {
        self.vault
            .record_empty_stream(&self.guarded.call, &self.grant)
            .await
    }

    fn message(&self, chunk: &Chunk) -> Message {
        let records = chunk.records.iter();
        let purpose = self.grant.purpose();
        let has_own_names = purpose.is_some_and(|purpose| purpose.scope.handles);
        let mut skipped = BTreeMap::new();
        for (reason, count) in &chunk.skipped {
            *skipped.entry(self.guarded.hide_reason(reason)).or_insert(0) += count.cast_signed();
        }
        let skipped = skipped.into_iter();
        Message {
            records: records
                .map(|(name, opened)| {
                    // Whom a purpose has names of its own for it knows by no other.
                    let is_named = !has_own_names;
                    let name = if is_named { name.expose() } else { "" };
                    record(name.to_owned(), &self.grant, opened)
                })
                .collect(),
            cursor: chunk.cursor.clone(),
            skipped: skipped
                .map(|(reason, count)| pb::SkippedCount {
                    reason: reason.to_owned(),
                    count,
                })
                .collect(),
        }
    }
}
