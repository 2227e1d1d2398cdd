//! StreamRecords: chunk after chunk, each decided anew where the rules have
//! changed, each written down before it leaves.

use super::call::Guarded;
use super::metadata::record;
use super::records::Asked;
use super::status::status;
use crate::access::{Grant, Read, ReadTarget};
use crate::error::{Error, Result};
use crate::limits;
use crate::pb;
use crate::vault::{Chunk, Vault};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

type Answer = std::result::Result<pb::StreamRecordsResponse, Status>;

/// The chunks of one stream.
pub type Chunks = Pin<Box<dyn Stream<Item = Answer> + Send>>;

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
    place: OwnedSemaphorePermit,
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
    // One chunk waits while another is on its way: a slow reader holds no more.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _place = place;
        let all = streaming.send(first, &sender);
        if tokio::time::timeout(limits::STREAM_TIME, all)
            .await
            .is_err()
        {
            let _ = sender.send(Err(status(&Error::DeadlineExceeded))).await;
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

fn decide(guarded: &Guarded, asked: &pb::StreamRecordsRequest) -> Result<Grant<Read>> {
    let read = Asked {
        record_type: &asked.record_type,
        purpose: &asked.purpose,
        fields: &asked.fields,
        mode: asked.mode,
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

    async fn send(&mut self, first: Option<Chunk>, sender: &mpsc::Sender<Answer>) {
        let mut next = first;
        while let Some(chunk) = next {
            if sender.send(Ok(self.message(&chunk))).await.is_err() {
                return;
            }
            drop(chunk);
            next = match self.again().await {
                Ok(next) => next,
                Err(error) => {
                    let heard = self.guarded.hide(error.clone());
                    // The chunks before are written down; this ends them.
                    let (refused, _) = self.guarded.take_refusal();
                    let written = self
                        .vault
                        .record_refusal(&self.guarded.call, refused, &error)
                        .await;
                    let heard = written.err().unwrap_or(heard);
                    let _ = sender.send(Err(status(&heard))).await;
                    return;
                }
            };
        }
    }

    /// The next chunk by the rules that are in force now.
    async fn again(&mut self) -> Result<Option<Chunk>> {
        if let Some(renewed) = self.guarded.renewed() {
            self.guarded = renewed;
            self.grant = Arc::new(decide(&self.guarded, &self.asked)?);
        }
        self.next().await
    }

    /// A stream of nothing is written down too.
    async fn record_empty(&self) -> Result<()> {
        self.vault
            .record_empty_stream(&self.guarded.call, &self.grant)
            .await
    }

    fn message(&self, chunk: &Chunk) -> pb::StreamRecordsResponse {
        let records = chunk.records.iter();
        pb::StreamRecordsResponse {
            records: records
                .map(|(name, opened)| record(name.expose().to_owned(), &self.grant, opened))
                .collect(),
            cursor: chunk.cursor.clone(),
            skipped: chunk
                .skipped
                .iter()
                .map(|(reason, count)| pb::SkippedCount {
                    reason: (*reason).to_owned(),
                    count: count.cast_signed(),
                })
                .collect(),
        }
    }
}
