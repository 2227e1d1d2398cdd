//! Rotating customers' field keys: of one, of all who have a record of a type,
//! of everybody; and saying that a customer's are compromised.

use super::Vault;
use super::find::newest_keys;
use super::generation::Begin;
use super::job::Orders;
use crate::access::{Compromise, Grant, Rotate, RotateWhat};
use crate::audit::{Call, Fact, Leaf, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Lost, Missing, Result};
use crate::id::{CustomerId, CustomerNumber};
use crate::limits;
use crate::store::{
    ApprovalAction, DataFile, Destroyed, JobKind, JobRow, JobState, NewJob, Progress,
};
use crate::vault::events::EventKind;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The one step of these jobs (`jobs.step`).
const RECORDS: u8 = 1;

impl Vault {
    /// Begins a new generation: for one customer it is there when this
    /// returns; the rest goes on behind the call.
    pub async fn rotate(&self, call: &Call, grant: &Arc<Grant<Rotate>>) -> Result<JobRow> {
        let (kind, target) = match &grant.target().what {
            RotateWhat::Customer(_) => {
                let (customer, _) = self.whose_keys(grant, rotated).await?;
                (JobKind::RotateCustomer, customer.0)
            }
            RotateWhat::Type(number) => (JobKind::RotateType, u64::from(*number)),
            RotateWhat::All => (JobKind::RotateAll, 0),
        };
        let requester = grant.principal().name();
        let (job, is_new) = self.rotation(kind, target, requester, call).await?;
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.fact = Some(Fact::RotationBegun { job });
        let whom = (kind == JobKind::RotateCustomer).then_some(CustomerNumber(target));
        let begun = async {
            if let Some(customer) = whom.filter(|_| is_new) {
                self.begin_records(job, customer).await?;
            }
            self.write_leaf(call, &leaf, whom).await
        };
        self.run_after(job, begun.await).await
    }

    /// A customer's keys are compromised: nothing under them is read until it
    /// is re-encrypted, which begins at once.
    pub async fn compromise(&self, call: &Call, grant: &Arc<Grant<Compromise>>) -> Result<JobRow> {
        let (customer, generation) = self.whose_keys(grant, compromised).await?;
        let (by, reason) = (grant.principal().name(), grant.target().reason.as_str());
        let action = ApprovalAction::Compromise;
        let room = self.approvals();
        let approved = room.consume(action, customer.0, by, reason).await?;
        let kind = JobKind::RotateCustomer;
        let (job, _) = self.rotation(kind, customer.0, by, call).await?;
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.fact = Some(Fact::KeyCompromised {
            generation,
            job,
            requester: by.to_string(),
            approver: approved.approver().to_owned(),
        });
        let begun = async {
            let today = call.time.day();
            let flagged = self.0.store.compromise(customer, generation, today);
            if !flagged.in_time().await? {
                return Err(Error::CustomerErased);
            }
            self.write_leaf(call, &leaf, Some(customer)).await?;
            self.copy_ledger_before_answering().await?;
            self.begin_records(job, customer).await
        };
        self.run_after(job, begun.await).await
    }

    /// The number of the customer whom a grant is about, and their newest
    /// generation.
    async fn whose_keys<A: Send + Sync + 'static>(
        &self,
        grant: &Arc<Grant<A>>,
        whom: fn(&A) -> Option<&CustomerId>,
    ) -> Result<(CustomerNumber, u32)> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let grant = Arc::clone(grant);
        self.on_rows(move |rows, keyring| {
            let id = whom(grant.target()).ok_or(Error::NotFound(Missing::Customer))?;
            let keys = keyring.keys_of(rows, &tenant, id)?;
            Ok((keys.customer, keys.generation))
        })
        .await
    }

    /// Writes the call's leaf, about a customer where it is about one.
    async fn write_leaf(
        &self,
        call: &Call,
        leaf: &Leaf,
        whom: Option<CustomerNumber>,
    ) -> Result<()> {
        let row = match whom {
            None => self.plain_row(call, leaf)?,
            Some(customer) => {
                let keys = self.on_rows(move |rows, keyring| {
                    keyring.customer(customer, newest_keys(rows, customer)?)
                });
                self.subject_row(call, leaf, &keys.await?, &[])?
            }
        };
        self.0.log.record(call, vec![row], ()).await.map(|_| ())
    }

    /// The job of a rotation, and whether it is a new one.
    async fn rotation(
        &self,
        kind: JobKind,
        target: u64,
        requester: &str,
        call: &Call,
    ) -> Result<(u64, bool)> {
        let new = NewJob {
            kind,
            target,
            throttle: 0,
            requester: requester.to_owned(),
            today: call.time.day(),
        };
        if let Some(job) = self.0.store.start_job(new).in_time().await? {
            return Ok((job, true));
        }
        let open = self.open_jobs().await?;
        let mut same = open
            .iter()
            .filter(|job| job.kind == kind && job.target == target);
        let row = same.next().ok_or(Error::Contended)?;
        let running = self.0.store.set_job(row.job, JobState::Running, "");
        running.in_time().await?;
        Ok((row.job, false))
    }

    async fn begin_records(&self, job: u64, customer: CustomerNumber) -> Result<()> {
        self.begin_generation(customer, Begin::Anew).await?;
        let begun = self.0.store.begin_step(job, RECORDS, 1);
        begun.in_time().await
    }

    /// The job goes on behind the call, also where the call fails: it does then
    /// what was not begun.
    async fn run_after(&self, job: u64, begun: Result<()>) -> Result<JobRow> {
        self.run_job(job);
        begun?;
        let row = self.job_row(job).await?;
        row.ok_or(Error::NotFound(Missing::Job))
    }

    /// Works on a job of these, from its cursor on.
    pub(super) async fn rotate_on(&self, job: &JobRow) -> Result<()> {
        match job.kind {
            JobKind::RotateCustomer => self.rotate_one(job).await,
            _ => self.rotate_many(job).await,
        }
    }

    async fn rotate_one(&self, job: &JobRow) -> Result<()> {
        let customer = CustomerNumber(job.target);
        if job.step != RECORDS {
            match self.begin_records(job.job, customer).await {
                // Forgotten meanwhile: there is nothing left to do.
                Ok(()) | Err(Error::CustomerErased) => {}
                Err(error) => return Err(error),
            }
        }
        let gone = self.settle_generations(customer).await?;
        let (keys, state) = gone.map_or((0, "destroyed"), |of| (of.keys, state_of(&of)));
        self.0
            .store
            .advance_job(at(job, 0), 1, keys)
            .in_time()
            .await?;
        self.rotation_over(job, state).await?;
        self.rotation_done(job).await
    }

    async fn rotate_many(&self, job: &JobRow) -> Result<()> {
        let orders = Orders::of(job);
        if job.step != RECORDS {
            let counts = self.on_rows(|rows, _| rows.key_counts()).await?;
            let begun = self.0.store.begin_step(job.job, RECORDS, counts.customers);
            begun.in_time().await?;
        }
        let (mut from, mut is_lossy) = (job.cursor, false);
        loop {
            let customers = self.whom(job, from).await?;
            let Some(last) = customers.last() else {
                break;
            };
            from = last.0 + 1;
            let many = customers.len() as u64;
            let (keys, lost) = self.rotate_some(customers, &orders).await?;
            is_lossy |= lost;
            let said = self.0.store.advance_job(at(job, from), many, keys);
            orders.hear(said.in_time().await?);
            if orders.is_stopped() {
                return Ok(());
            }
        }
        self.rotation_over(job, "destroyed").await?;
        if is_lossy {
            return Err(Error::DataLoss(Lost::Record));
        }
        self.rotation_done(job).await
    }

    async fn whom(&self, job: &JobRow, from: u64) -> Result<Vec<CustomerNumber>> {
        let (kind, target, most) = (job.kind, job.target, limits::ROTATE_CUSTOMERS_READ);
        self.on_rows(move |rows, _| match kind {
            JobKind::RotateType => {
                let number = u16::try_from(target).map_err(|_| Error::Internal("type"))?;
                rows.customers_with_type(number, from, most)
            }
            _ => rows.customers_with_keys(from, most),
        })
        .await
    }

    /// How many keys were destroyed; and whether somebody's data does not open,
    /// so that their old keys stay.
    async fn rotate_some(
        &self,
        customers: Vec<CustomerNumber>,
        orders: &Orders,
    ) -> Result<(u64, bool)> {
        let (mut keys, mut is_lossy, mut under_way) = (0, false, JoinSet::new());
        let mut waiting = customers.into_iter();
        loop {
            while under_way.len() < limits::ROTATE_UNDER_WAY {
                let Some(customer) = waiting.next() else {
                    break;
                };
                orders.pace(1).await;
                let vault = self.clone();
                under_way.spawn(async move { vault.renew(customer, Begin::OrGoOn).await });
            }
            let Some(done) = under_way.join_next().await else {
                return Ok((keys, is_lossy));
            };
            match done.map_err(|_| Error::Internal("a rotation ended by itself"))? {
                Ok(gone) => keys += gone.map_or(0, |gone| gone.keys),
                Err(Error::DataLoss(_)) => is_lossy = true,
                Err(error) => return Err(error),
            }
        }
    }

    async fn rotation_done(&self, job: &JobRow) -> Result<()> {
        let done = self.0.store.set_job(job.job, JobState::Done, "");
        done.in_time().await.map(|_| ())
    }

    /// The logs are emptied of what went, and that is written down.
    async fn rotation_over(&self, job: &JobRow, state: &'static str) -> Result<()> {
        for file in [DataFile::Keys, DataFile::Vault] {
            if !self.truncated(file).await? {
                return Err(Error::ErasurePending);
            }
        }
        let row = self.job_row(job.job).await?;
        let row = row.ok_or(Error::NotFound(Missing::Job))?;
        let call = self.0.log.begin("RotateKeys", None, Instant::now());
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        leaf.count = row.done;
        leaf.fact = Some(Fact::KeysDestroyed {
            job: row.job,
            keys: row.keys,
            state,
        });
        self.record_plain(&call, &leaf, ()).await?;
        if row.kind == JobKind::RotateCustomer {
            let customer = CustomerNumber(row.target);
            self.tell_all(customer, EventKind::KeyRotated).await;
        }
        Ok(())
    }
}

fn rotated(of: &Rotate) -> Option<&CustomerId> {
    match &of.what {
        RotateWhat::Customer(id) => Some(id),
        RotateWhat::Type(_) | RotateWhat::All => None,
    }
}

fn compromised(of: &Compromise) -> Option<&CustomerId> {
    Some(&of.customer)
}

fn at(job: &JobRow, cursor: u64) -> Progress {
    Progress {
        job: job.job,
        cursor,
    }
}

/// In the words of NIST SP 800-57 part 1, section 7.
fn state_of(gone: &Destroyed) -> &'static str {
    if gone.compromised {
        "destroyed compromised"
    } else {
        "destroyed"
    }
}
