//! Reading every record of a type, chunk by chunk. Each chunk looks at the
//! customers' keys and state anew and is written down before it leaves, so an
//! erasure or a restriction stops a stream within one chunk.

use super::Vault;
use super::cursor::Cursor;
use super::events::{FirstRead, Readers};
use super::find::{customer_name, newest_keys, owner_of, record_name};
use super::keyring::{CustomerKeyring, Keyring};
use super::open::{OpenedRecord, open_record, permit};
use super::quota::CustomerQuota;
use super::retention::Origins;
use crate::access::{Grant, Read};
use crate::audit::{Call, Recorded, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Lost, Result};
use crate::id::TenantNumber;
use crate::limits;
use crate::secret::SecretText;
use crate::store::{CustomerRow, RecordKey, RecordRow, Rows};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One chunk of a stream.
pub struct Chunk {
    /// The records, with their names.
    pub records: Vec<(SecretText, OpenedRecord)>,
    /// Where the next chunk begins.
    pub cursor: String,
    /// How many were passed over, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
}

struct Read64 {
    records: Vec<(SecretText, OpenedRecord)>,
    last: RecordKey,
    skipped: BTreeMap<&'static str, u64>,
    /// Each customer whose data was opened, with records and revisions.
    opened: Vec<(CustomerKeyring, Vec<(u64, u64)>)>,
    /// Of each of them, whether it is the first read of its kind.
    firsts: Vec<Option<FirstRead>>,
}

impl Vault {
    /// The chunk after `cursor` (empty: the first); `None` at the end.
    pub async fn stream_chunk(
        &self,
        call: &Arc<Call>,
        grant: &Arc<Grant<Read>>,
        cursor: &str,
    ) -> Result<Option<Recorded<Chunk>>> {
        for _ in 0..limits::REVISION_RETRIES {
            // A first read while a customer's state changed is made anew.
            match self.chunk_once(call, grant, cursor).await {
                Err(Error::Contended) => {}
                chunk => return chunk,
            }
        }
        Err(Error::Contended)
    }

    async fn chunk_once(
        &self,
        call: &Arc<Call>,
        grant: &Arc<Grant<Read>>,
        cursor: &str,
    ) -> Result<Option<Recorded<Chunk>>> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let seal = Cursor::of_stream(self.0.keyring.deployment(), &tenant, grant);
        let after = seal.open(cursor)?;
        let (asked, quota, now) = (Arc::clone(grant), self.quota(), Instant::now());
        let (number, readers) = (tenant.number, Arc::clone(&self.0.readers));
        let read = self
            .on_rows(move |rows, keyring| {
                let found = rows.records_of_type(
                    number,
                    asked.target().record_type.number,
                    after,
                    limits::STREAM_CHUNK_RECORDS,
                    limits::STREAM_CHUNK_BYTES,
                )?;
                let Some(last) = found.last().map(|row| row.key) else {
                    return Ok(None);
                };
                let mut chunk = Chunking {
                    keyring,
                    tenant: number,
                    grant: &asked,
                    quota: &quota,
                    readers: &readers,
                    now,
                    owner: None,
                    read: Read64 {
                        records: Vec::with_capacity(found.len()),
                        last,
                        skipped: BTreeMap::new(),
                        opened: Vec::new(),
                        firsts: Vec::new(),
                    },
                };
                for row in &found {
                    chunk.take(rows, row)?;
                }
                chunk.close();
                Ok(Some(chunk.read))
            })
            .await?;
        let Some(mut read) = read else {
            return Ok(None);
        };
        let cursor = seal.seal(read.last)?;
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        let fields = grant.target().fields.iter().map(|f| f.field.number.0);
        leaf.fields = fields.collect();
        leaf.record_type = grant.target().record_type.name.to_string();
        leaf.count = read.records.len() as u64;
        let mut leaves = vec![self.plain_row(call, &leaf)?];
        for ((keys, records), first) in read.opened.iter().zip(&mut read.firsts) {
            leaf.count = records.len() as u64;
            let mut row = self.subject_row(call, &leaf, keys, records)?;
            row.reader = first.as_mut().and_then(FirstRead::take_row);
            leaves.push(row);
        }
        let chunk = Chunk {
            records: read.records,
            cursor,
            skipped: read.skipped,
        };
        let recorded = self.0.log.record(call, leaves, chunk).await?;
        let firsts = read.firsts.into_iter().flatten();
        self.0.readers.learn(firsts.collect());
        Ok(Some(recorded))
    }
}

impl Vault {
    /// A stream that found nothing is written down too.
    pub async fn record_empty_stream(
        &self,
        call: &Arc<Call>,
        grant: &Arc<Grant<Read>>,
    ) -> Result<()> {
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.record_type = grant.target().record_type.name.to_string();
        self.record_plain(call, &leaf, ()).await?;
        Ok(())
    }
}

/// The customer whose records are under way.
struct Owner {
    keys: CustomerKeyring,
    row: CustomerRow,
    name: SecretText,
    records: Vec<(u64, u64)>,
    first: Option<FirstRead>,
}

struct Chunking<'a> {
    keyring: &'a Keyring,
    tenant: TenantNumber,
    grant: &'a Arc<Grant<Read>>,
    quota: &'a CustomerQuota,
    readers: &'a Readers,
    now: Instant,
    owner: Option<Owner>,
    read: Read64,
}

impl Chunking<'_> {
    fn take(&mut self, rows: &mut dyn Rows, row: &RecordRow) -> Result<()> {
        if self.owner.as_ref().map(|owner| owner.keys.customer) != Some(row.key.customer) {
            self.close();
            match self.owner_of(rows, row.key) {
                Ok(owner) => self.owner = Some(owner),
                Err(error) => return self.skip(error),
            }
        }
        match self.show(rows, row) {
            // A rotation passed between the looks at the two files.
            Err(Error::DataLoss(Lost::Key)) => {
                self.close();
                rows.refresh();
                match self.owner_of(rows, row.key) {
                    Ok(owner) => self.owner = Some(owner),
                    Err(error) => return self.skip(error),
                }
                let before = row.key.record.0.saturating_sub(1);
                let again = rows.whole_records(row.key.customer, before, 1)?.pop();
                match again.filter(|again| again.key == row.key) {
                    Some(again) => self.show(rows, &again).or_else(|error| self.skip(error)),
                    None => Ok(()),
                }
            }
            shown => shown.or_else(|error| self.skip(error)),
        }
    }

    fn show(&mut self, rows: &mut dyn Rows, row: &RecordRow) -> Result<()> {
        let Some(owner) = &mut self.owner else {
            return Ok(());
        };
        let deployment = self.keyring.deployment();
        let at = self.keyring.at(self.now.day());
        let opened = permit(self.grant, &owner.keys, &owner.row, at)
            .and_then(|permit| {
                let read = self.grant.target();
                let origins = Origins::for_read(rows, deployment, &owner.keys, row.key, read)?;
                open_record(
                    deployment,
                    &owner.keys,
                    permit,
                    row,
                    &origins,
                    self.now.day(),
                )
            })
            .and_then(|opened| {
                let name = record_name(deployment, &owner.keys, &owner.name, row)?;
                if owner.records.is_empty() {
                    let (grant, readers) = (self.grant, self.readers);
                    owner.first = readers.first_read(grant, deployment, &owner.keys, &owner.row)?;
                }
                Ok((name, opened))
            });
        self.read.records.push(opened?);
        owner.records.push((row.key.record.0, row.revision));
        Ok(())
    }

    fn owner_of(&self, rows: &mut dyn Rows, key: RecordKey) -> Result<Owner> {
        let keys = self
            .keyring
            .customer(key.customer, newest_keys(rows, key.customer)?)?;
        if keys.tenant != self.tenant {
            tracing::error!("a record stands among those of another tenant");
            return Err(Error::DataLoss(Lost::Record));
        }
        self.quota
            .touch(self.grant.principal(), keys.customer, self.now)?;
        let row = rows.customer(key.customer)?;
        let row = owner_of(rows, key.customer, row)?;
        let name = customer_name(self.keyring.deployment(), &keys, &row)?;
        Ok(Owner {
            keys,
            row,
            name,
            records: Vec::new(),
            first: None,
        })
    }

    /// Passes over what this customer does not allow; anything else ends the
    /// stream.
    fn skip(&mut self, error: Error) -> Result<()> {
        match error {
            Error::CustomerErased | Error::Denied(_) | Error::DataLoss(_) => {
                *self.read.skipped.entry(error.reason()).or_insert(0) += 1;
                Ok(())
            }
            other => Err(other),
        }
    }

    fn close(&mut self) {
        if let Some(owner) = self.owner.take()
            && !owner.records.is_empty()
        {
            self.read.opened.push((owner.keys, owner.records));
            self.read.firsts.push(owner.first);
        }
    }
}
