//! RecordService.

use super::asked::Asked;
use super::call::Guarded;
use super::metadata::{failure, metadata, record};
use super::places::Places;
use super::stream::{self, Chunks};
use super::value::{expected, instant, values_of};
use crate::access::{ReadTarget, WriteAsk};
use crate::error::{Error, Result, Violation};
use crate::id::{CustomerId, RecordName, RequestId};
use crate::limits;
use crate::pb;
use crate::pb::batch_get_result::Outcome;
use crate::pb::record_service_server::RecordService;
use crate::vault::Vault;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Records {
    /// The vault.
    pub vault: Vault,
    /// Room for streams.
    pub streams: Places,
}

type Reply<T> = std::result::Result<Response<T>, Status>;

/// A write as both methods ask for it.
struct Write {
    name: String,
    record_type: String,
    fields: HashMap<String, pb::Value>,
    mask: Option<Vec<String>>,
    expected_revision: Option<i64>,
    request_id: String,
    source: String,
    collect_time: Option<prost_types::Timestamp>,
}

impl Records {
    async fn write(&self, guarded: &Guarded, write: Write) -> Result<pb::RecordMetadata> {
        guarded.asks(&write.record_type, "");
        guarded.about(&write.name);
        let request = RequestId::parse(&write.request_id)?;
        let expected = expected(write.expected_revision)?;
        let ask = WriteAsk {
            target: RecordName::parse("name", &write.name)?,
            record_type: &write.record_type,
            values: values_of(write.fields)?,
            mask: write.mask.as_deref(),
            source: &write.source,
            collected: instant("collect_time", write.collect_time)?,
            today: guarded.today,
        };
        let grant = guarded.rules.write(&guarded.principal, ask)?;
        let view = self
            .vault
            .write(&guarded.call, grant, expected, request)
            .await?;
        Ok(metadata(write.name, write.record_type, &view))
    }

    async fn get(&self, guarded: &Guarded, asked: pb::GetRecordRequest) -> Result<pb::Record> {
        guarded.asks(&asked.record_type, &asked.purpose);
        guarded.about(&asked.name);
        let target = ReadTarget::One(RecordName::parse("name", &asked.name)?);
        let read = Asked {
            record_type: &asked.record_type,
            purpose: &asked.purpose,
            fields: &asked.fields,
            mode: asked.mode,
            with_handle: asked.with_handle,
        };
        let grant = Arc::new(read.grant(guarded, target)?);
        let mut outcomes = self.vault.read(&guarded.call, &grant).await?.release();
        let opened = outcomes.pop().ok_or(Error::Internal("no outcome"))??;
        Ok(record(asked.name, &grant, &opened))
    }

    async fn batch(
        &self,
        guarded: &Guarded,
        asked: pb::BatchGetRecordsRequest,
    ) -> Result<pb::BatchGetRecordsResponse> {
        guarded.asks(&asked.record_type, &asked.purpose);
        if asked.names.is_empty() || asked.names.len() > limits::BATCH_NAMES {
            let rule = format!("must hold 1 to {} names", limits::BATCH_NAMES);
            return Err(Error::invalid(Violation::new("names", rule)));
        }
        let mut seen = HashSet::with_capacity(asked.names.len());
        let mut targets = Vec::with_capacity(asked.names.len());
        for name in &asked.names {
            guarded.about(name);
            targets.push(RecordName::parse("names", name)?);
            if !seen.insert(name.as_str()) {
                let violation = Violation::new("names", "must not hold a name twice");
                return Err(Error::invalid(violation));
            }
        }
        let read = Asked {
            record_type: &asked.record_type,
            purpose: &asked.purpose,
            fields: &asked.fields,
            mode: asked.mode,
            with_handle: asked.with_handle,
        };
        let grant = Arc::new(read.grant(guarded, ReadTarget::Batch(targets))?);
        let outcomes = self.vault.read(&guarded.call, &grant).await?.release();
        let mut skipped = BTreeMap::new();
        let results = asked.names.into_iter().zip(outcomes);
        let results = results.map(|(name, outcome)| {
            let outcome = match outcome {
                Ok(opened) => Outcome::Record(record(name.clone(), &grant, &opened)),
                Err(error) => {
                    let error = guarded.hide(error);
                    *skipped.entry(error.reason()).or_insert(0) += 1;
                    Outcome::Failure(failure(&error))
                }
            };
            pb::BatchGetResult {
                name,
                outcome: Some(outcome),
            }
        });
        let results = results.collect();
        let counted = |(reason, count): (&str, i64)| pb::SkippedCount {
            reason: reason.to_owned(),
            count,
        };
        let skipped = skipped.into_iter().map(counted).collect();
        Ok(pb::BatchGetRecordsResponse { results, skipped })
    }

    async fn list(
        &self,
        guarded: &Guarded,
        asked: pb::ListRecordsRequest,
    ) -> Result<pb::ListRecordsResponse> {
        guarded.asks(&asked.record_type, &asked.purpose);
        guarded.about(&asked.parent);
        let customer = CustomerId::parse_name("parent", &asked.parent)?;
        let most = match usize::try_from(asked.page_size) {
            Ok(0) => limits::LIST_PAGE_DEFAULT,
            Ok(size) => size.min(limits::LIST_PAGE_MAX),
            Err(_) => {
                let violation = Violation::new("page_size", "must not be negative");
                return Err(Error::invalid(violation));
            }
        };
        let grant = guarded.rules.list(
            &guarded.principal,
            customer,
            &asked.record_type,
            &asked.purpose,
            guarded.today,
        )?;
        let listed = self
            .vault
            .list(&guarded.call, grant, &asked.page_token, most)
            .await?
            .release();
        let records = listed.records.iter().map(|(name, view)| {
            metadata(name.expose().to_owned(), asked.record_type.clone(), view)
        });
        Ok(pb::ListRecordsResponse {
            records: records.collect(),
            next_page_token: listed.next,
        })
    }

    async fn delete(&self, guarded: &Guarded, asked: pb::DeleteRecordRequest) -> Result<()> {
        guarded.asks(&asked.record_type, "");
        guarded.about(&asked.name);
        let request = RequestId::parse(&asked.request_id)?;
        let expected = expected(asked.expected_revision)?;
        let target = RecordName::parse("name", &asked.name)?;
        let grant = guarded
            .rules
            .delete(&guarded.principal, target, &asked.record_type)?;
        self.vault
            .delete_record(&guarded.call, grant, expected, request)
            .await
    }
}

#[tonic::async_trait]
impl RecordService for Records {
    type StreamRecordsStream = Chunks;

    async fn put_record(
        &self,
        request: Request<pb::PutRecordRequest>,
    ) -> Reply<pb::PutRecordResponse> {
        let guarded = Guarded::of(&request)?;
        let asked = request.into_inner();
        let write = Write {
            name: asked.name,
            record_type: asked.record_type,
            fields: asked.fields,
            mask: None,
            expected_revision: asked.expected_revision,
            request_id: asked.request_id,
            source: asked.source,
            collect_time: asked.collect_time,
        };
        let written = self.write(&guarded, write).await;
        guarded.answer(written.map(|record| pb::PutRecordResponse {
            record: Some(record),
        }))
    }

    async fn get_record(
        &self,
        request: Request<pb::GetRecordRequest>,
    ) -> Reply<pb::GetRecordResponse> {
        let guarded = Guarded::of(&request)?;
        let read = self.get(&guarded, request.into_inner()).await;
        guarded.answer(read.map(|record| pb::GetRecordResponse {
            record: Some(record),
        }))
    }

    async fn batch_get_records(
        &self,
        request: Request<pb::BatchGetRecordsRequest>,
    ) -> Reply<pb::BatchGetRecordsResponse> {
        let guarded = Guarded::of(&request)?;
        let read = self.batch(&guarded, request.into_inner()).await;
        guarded.answer(read)
    }

    async fn stream_records(
        &self,
        request: Request<pb::StreamRecordsRequest>,
    ) -> Reply<Self::StreamRecordsStream> {
        let guarded = Guarded::of(&request)?;
        let opened = match self.streams.take(&guarded.principal) {
            Ok(place) => {
                stream::open(self.vault.clone(), &guarded, request.into_inner(), place).await
            }
            Err(error) => Err(error),
        };
        guarded.answer(opened)
    }

    async fn update_record(
        &self,
        request: Request<pb::UpdateRecordRequest>,
    ) -> Reply<pb::UpdateRecordResponse> {
        let guarded = Guarded::of(&request)?;
        let asked = request.into_inner();
        let write = Write {
            name: asked.name,
            record_type: asked.record_type,
            fields: asked.fields,
            mask: Some(asked.update_mask.map_or_else(Vec::new, |mask| mask.paths)),
            expected_revision: asked.expected_revision,
            request_id: asked.request_id,
            source: asked.source,
            collect_time: asked.collect_time,
        };
        let written = self.write(&guarded, write).await;
        guarded.answer(written.map(|record| pb::UpdateRecordResponse {
            record: Some(record),
        }))
    }

    async fn delete_record(
        &self,
        request: Request<pb::DeleteRecordRequest>,
    ) -> Reply<pb::DeleteRecordResponse> {
        let guarded = Guarded::of(&request)?;
        let deleted = self.delete(&guarded, request.into_inner()).await;
        guarded.answer(deleted.map(|()| pb::DeleteRecordResponse {}))
    }

    async fn list_records(
        &self,
        request: Request<pb::ListRecordsRequest>,
    ) -> Reply<pb::ListRecordsResponse> {
        let guarded = Guarded::of(&request)?;
        let listed = self.list(&guarded, request.into_inner()).await;
        guarded.answer(listed)
    }
}
