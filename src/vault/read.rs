//! Reading records by name: one, or several of one type.

use super::Vault;
use super::events::{FirstRead, Readers};
use super::find::{found_record, owner_of};
use super::keyring::Tenant;
use super::keyring::{CustomerKeyring, Keyring};
use super::open::{OpenedRecord, open_record, permit};
use super::quota::CustomerQuota;
use super::retention::Origins;
use crate::access::{Grant, Read, ReadTarget};
use crate::audit::{Call, Recorded, Verdict};
use crate::clock::Instant;
use crate::crypto::index::record_locator;
use crate::error::{Error, Lost, Missing, Result, Unavailable};
use crate::id::RecordName;
use crate::limits;
use crate::store::{LeafRow, Rows};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What became of each name, in the order asked for.
pub type Outcomes = Vec<Result<OpenedRecord>>;

/// A customer whose record was opened or denied, for the audit step.
struct Touched {
    keys: CustomerKeyring,
    /// Records that were opened, with their revisions.
    records: Vec<(u64, u64)>,
    /// Why a record was not, where the customer's own state denied it.
    denied: Option<Error>,
    /// The read is the first of its kind.
    first: Option<FirstRead>,
}

struct Reading {
    outcomes: Outcomes,
    touched: Vec<Touched>,
}

impl Vault {
    /// Reads the records that the grant names. Each name has its own outcome;
    /// nothing is answered before every entry is durable.
    pub async fn read(
        &self,
        call: &Arc<Call>,
        grant: &Arc<Grant<Read>>,
    ) -> Result<Recorded<Outcomes>> {
        for _ in 0..limits::REVISION_RETRIES {
            // A first read while the customer's state changed is made anew.
            match self.read_once(call, grant).await {
                Err(Error::Contended) => {}
                read => return read,
            }
        }
        Err(Error::Contended)
    }

    async fn read_once(
        &self,
        call: &Arc<Call>,
        grant: &Arc<Grant<Read>>,
    ) -> Result<Recorded<Outcomes>> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let (answer, done) = oneshot::channel();
        let (vault, call, grant) = (self.clone(), Arc::clone(call), Arc::clone(grant));
        self.0.store.read_beside_log(Box::new(move |rows| {
            // The caller may be gone; then nobody needs the answer.
            if !answer.is_closed() {
                let reading = vault.open_all(rows, &tenant, &call, &grant);
                vault.enter(call, &grant, reading, |read| {
                    let _ = answer.send(read);
                });
            }
        }))?;
        // The entry goes from the reader's thread straight to the log, and the
        // caller wakes once, when it is durable.
        tokio::time::timeout(limits::COMMIT_TIME, done)
            .await
            .map_err(|_| Error::Unavailable(Unavailable::StoreSlow))?
            .unwrap_or(Err(Error::Unavailable(Unavailable::AuditWrite)))
    }

    fn open_all(
        &self,
        rows: &mut dyn Rows,
        tenant: &Tenant,
        call: &Call,
        grant: &Arc<Grant<Read>>,
    ) -> Reading {
        let reader = Reader {
            rows,
            keyring: &self.0.keyring,
            tenant,
            grant,
            quota: &self.0.quota,
            readers: &self.0.readers,
            now: call.time,
        };
        reader.all()
    }

    /// Tells `answer` what was opened, once every entry is durable.
    fn enter(
        &self,
        call: Arc<Call>,
        grant: &Grant<Read>,
        mut reading: Reading,
        answer: impl FnOnce(Result<Recorded<Outcomes>>) + Send + 'static,
    ) {
        if let ReadTarget::One(_) = grant.target().target
            && let Some(Err(error)) = reading.outcomes.first()
        {
            // The one failure is the call's own: refused and written down there.
            return answer(Err(error.clone()));
        }
        let leaves = match self.read_leaves(&call, grant, &mut reading) {
            Ok(leaves) => leaves,
            Err(error) => return answer(Err(error)),
        };
        let firsts = reading.touched.into_iter();
        let firsts: Vec<_> = firsts.filter_map(|touched| touched.first).collect();
        let readers = Arc::clone(&self.0.readers);
        let learn = move |read: Result<Recorded<Outcomes>>| {
            if read.is_ok() {
                readers.learn(firsts);
            }
            answer(read);
        };
        self.0
            .log
            .record_then(call, leaves, reading.outcomes, learn);
    }

    /// One leaf for a call about one customer; else one for the call and one
    /// for each customer whose data was opened or denied in it.
    fn read_leaves(
        &self,
        call: &Call,
        grant: &Grant<Read>,
        reading: &mut Reading,
    ) -> Result<Vec<LeafRow>> {
        let fields = grant.target().fields.iter().map(|f| f.field.number.0);
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.record_type = grant.target().record_type.name.to_string();
        leaf.fields = fields.collect();
        leaf.count = reading.outcomes.iter().filter(|o| o.is_ok()).count() as u64;
        let is_one = matches!(grant.target().target, ReadTarget::One(_));
        let mut rows = Vec::with_capacity(1 + reading.touched.len());
        if !is_one {
            rows.push(self.plain_row(call, &leaf)?);
        }
        for touched in &mut reading.touched {
            leaf.count = touched.records.len() as u64;
            if let Some(denied) = &touched.denied {
                leaf.verdict = Verdict::Denied;
                leaf.reason = denied.reason();
            } else {
                leaf.verdict = Verdict::Allowed;
                leaf.reason = "";
            }
            let mut row = self.subject_row(call, &leaf, &touched.keys, &touched.records)?;
            row.reader = touched.first.as_mut().and_then(FirstRead::take_row);
            rows.push(row);
        }
        Ok(rows)
    }
}

struct Reader<'a> {
    rows: &'a mut dyn Rows,
    keyring: &'a Keyring,
    tenant: &'a Tenant,
    grant: &'a Arc<Grant<Read>>,
    quota: &'a CustomerQuota,
    readers: &'a Readers,
    now: Instant,
}

impl Reader<'_> {
    fn all(mut self) -> Reading {
        let grant = Arc::clone(self.grant);
        let names = match &grant.target().target {
            ReadTarget::One(name) => std::slice::from_ref(name),
            ReadTarget::Batch(names) => names.as_slice(),
            ReadTarget::Customer(_) | ReadTarget::All => &[],
        };
        let mut reading = Reading {
            outcomes: Vec::with_capacity(names.len()),
            touched: Vec::with_capacity(1),
        };
        let mut weight = 0_usize;
        for name in names {
            let outcome = if weight > limits::BATCH_BYTES {
                Err(Error::TooMuch("bytes in one reply; read fewer at a time"))
            } else {
                self.one(name, &mut reading.touched, &mut weight)
            };
            reading.outcomes.push(outcome);
        }
        reading
    }

    /// A rotation may pass between the looks at the two files: a record whose
    /// generation is gone is looked at once more.
    fn one(
        &mut self,
        name: &RecordName,
        touched: &mut Vec<Touched>,
        weight: &mut usize,
    ) -> Result<OpenedRecord> {
        match self.look(name, touched, weight) {
            Err(Error::DataLoss(Lost::Key)) => {
                self.rows.refresh();
                self.look(name, touched, weight)
            }
            looked => looked,
        }
    }

    fn look(
        &mut self,
        name: &RecordName,
        touched: &mut Vec<Touched>,
        weight: &mut usize,
    ) -> Result<OpenedRecord> {
        let found = self.keyring.keys_of(self.rows, self.tenant, &name.customer);
        let keys = self.quota.admit(self.grant.principal(), self.now, found)?;
        let record_type = self.grant.target().record_type.number;
        let locator = record_locator(&keys.identity.record_locator, record_type, &name.record);
        let (owner, row) = self.rows.record(keys.customer, &locator)?;
        let owner = owner_of(self.rows, keys.customer, owner)?;
        let allowed = permit(self.grant, &keys, &owner, self.keyring.at(self.now.day()));
        let known = touched
            .iter()
            .position(|t| t.keys.customer == keys.customer);
        let at = match known.and_then(|at| Some((at, touched.get_mut(at)?))) {
            Some((at, known)) => {
                known.keys = keys;
                at
            }
            None => {
                touched.push(Touched {
                    keys,
                    records: Vec::with_capacity(1),
                    denied: allowed.as_ref().err().cloned(),
                    first: None,
                });
                touched.len() - 1
            }
        };
        let permit = allowed?;
        let touched = touched.get_mut(at).ok_or(Error::Internal("touched"))?;
        let deployment = self.keyring.deployment();
        let Some(row) = found_record(deployment, &touched.keys, &name.record, row)? else {
            return Err(Error::NotFound(Missing::Record));
        };
        *weight = weight.saturating_add(row.body.len());
        let read = self.grant.target();
        let origins = Origins::for_read(self.rows, deployment, &touched.keys, row.key, read)?;
        let today = self.now.day();
        let opened = open_record(deployment, &touched.keys, permit, &row, &origins, today)?;
        if touched.records.is_empty() {
            let first = self
                .readers
                .first_read(self.grant, deployment, &touched.keys, &owner);
            touched.first = first?;
        }
        touched.records.push((row.key.record.0, row.revision));
        Ok(opened)
    }
}
