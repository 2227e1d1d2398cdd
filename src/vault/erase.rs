//! Forgetting a customer. The order is what makes it safe: intent leaf, then in
//! one transaction of `keys.db` the fence, the ledger entry, the keys gone and
//! their pages dirty, then the write-ahead log emptied, then the ledger copied
//! to its second place, then the shred leaf, then the reply (L2). Behind it the rows are purged (L3). Every step may be
//! repeated; start-up completes whatever a crash cut off. While something of the
//! customer is held nothing of that happens: they are restricted, what is not held
//! is erased (`in_part.rs`), and the rest waits (`queue.rs`).

use super::Vault;
use super::certificate::{CertificateView, draft};
use super::customer::{CustomerView, Level, Purge, view};
use super::events::{EventKind, tidings};
use super::index::Entry;
use super::keyring::{CustomerKeyring, Tenant};
use super::queue::Queueing;
use super::restraint::Restraining;
use crate::access::{Erase, EraseMany, Grant};
use crate::audit::{Call, Fact, Leaf, Subject, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Missing, Result, Unavailable};
use crate::id::{CustomerId, CustomerNumber, TenantName};
use crate::limits;
use crate::store::{
    DataFile, EraseIntent, ErasureRow, Fence, IntendedCertificate, Pending, Tidings, Tombstone,
};
use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, PoisonError};

/// An erasure that was asked for or approved: whom it is about, and what is
/// written down of it.
pub(super) struct Forgetting {
    /// Whose customer.
    pub tenant: (TenantName, Arc<Tenant>),
    /// Whom.
    pub customer: CustomerId,
    /// Which service asked for it.
    pub by: Arc<str>,
    /// What its intent leaf says.
    pub leaf: Leaf,
}

/// What a look at the customer found.
enum Target {
    /// Alive: the keys, and what is about to happen.
    Alive(Box<Whom>),
    /// Held.
    Held(CustomerNumber, Box<Queueing>),
    /// Shredded before.
    Shredded(CustomerNumber, CustomerView),
}

/// A customer of whom nothing is held.
struct Whom {
    keys: CustomerKeyring,
    state: Vec<u8>,
    /// Where the index row is, and which it is.
    index: (u64, [u8; 16]),
    told: Tidings,
    certificate: IntendedCertificate,
}

impl Vault {
    /// Forgets the customer of the grant; answers at L2 or beyond. Where
    /// something is held and not all, the rest is forgotten, and that is
    /// answered; where all is, ERASURE_QUEUED. ERASURE_PENDING where a reader still holds remnants of the keys on disk:
    /// they open nothing any more, and a repeat finishes.
    pub async fn erase_customer(
        &self,
        call: &Arc<Call>,
        grant: Grant<Erase>,
    ) -> Result<(CustomerView, Option<CertificateView>)> {
        // In a task of its own: a caller that goes away stops nothing half-way.
        let name = grant.principal().tenant().clone();
        let forgetting = Forgetting {
            tenant: (name.clone(), self.tenant(&name)?),
            customer: CustomerId::parse("name", grant.target().customer.expose())?,
            by: Arc::clone(grant.principal().name()),
            leaf: self.leaf(&grant, Verdict::Intended),
        };
        let (vault, call) = (self.clone(), Arc::clone(call));
        let forgetting = Arc::new(forgetting);
        tokio::spawn(async move {
            let (customer, view) = vault.forget(&call, &forgetting).await?;
            Ok((view, vault.certificate_of(&forgetting, customer).await))
        })
        .await
        .unwrap_or(Err(Error::Internal("an erasure ended by itself")))
    }

    /// Writes down that so many erasures are about to begin.
    pub async fn begin_erasures(
        &self,
        call: &Call,
        grant: &Grant<EraseMany>,
        count: usize,
    ) -> Result<()> {
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.count = count as u64;
        self.record_plain(call, &leaf, ()).await.map(|_| ())
    }

    /// The certificate of an erasure that stands. Where it cannot be made now,
    /// the erasure is acknowledged without it, and a repeat gives it.
    pub(super) async fn certificate_of(
        &self,
        of: &Forgetting,
        customer: CustomerNumber,
    ) -> Option<CertificateView> {
        let tenant = (of.tenant.0.as_str(), of.tenant.1.number);
        let made = self
            .certify_erasure(tenant, customer, Some(&of.customer))
            .await;
        if let Err(error) = &made {
            tracing::warn!(reason = error.reason(), "a certificate was not made");
        }
        made.ok()
    }

    /// Carries an erasure out, to L2 or beyond, or as far as nothing is held;
    /// ERASURE_QUEUED where all of the customer is.
    pub(super) async fn forget(
        &self,
        call: &Arc<Call>,
        of: &Arc<Forgetting>,
    ) -> Result<(CustomerNumber, CustomerView)> {
        for _ in 0..limits::REVISION_RETRIES {
            match self.look_before_erase(call, of).await? {
                Target::Shredded(customer, view) => {
                    let view = self.erase_again(call, &of.leaf, customer, view).await?;
                    return Ok((customer, view));
                }
                Target::Held(customer, queueing) => {
                    if self.queue(call, *queueing).await? {
                        match self.forget_in_part(call, of, customer).await {
                            // Released and forgotten meanwhile: looked at again.
                            Err(Error::CustomerErased) => {}
                            forgotten => return forgotten,
                        }
                    }
                }
                Target::Alive(whom) => {
                    if let Some(erased) = self.forget_whole(call, of, *whom).await? {
                        return Ok(erased);
                    }
                }
            }
        }
        Err(Error::Contended)
    }

    /// Forgets what is not held, now that nothing of the customer is written any
    /// more.
    async fn forget_in_part(
        &self,
        call: &Arc<Call>,
        of: &Arc<Forgetting>,
        customer: CustomerNumber,
    ) -> Result<(CustomerNumber, CustomerView)> {
        self.forget_unheld(call, of, customer).await?;
        let tenant = Arc::clone(&of.tenant.1);
        let view = self
            .on_rows(move |rows, keyring| view(rows, keyring, &tenant, customer))
            .await?;
        match view.0 {
            CustomerView::Active { in_part: None, .. } => Err(Error::ErasureQueued),
            view => Ok((customer, view)),
        }
    }

    /// Forgets a customer of whom nothing is held; `None` where that is so no
    /// more.
    async fn forget_whole(
        &self,
        call: &Arc<Call>,
        of: &Forgetting,
        whom: Whom,
    ) -> Result<Option<(CustomerNumber, CustomerView)>> {
        let (keys, (page, tag)) = (whom.keys, whom.index);
        let intent = EraseIntent {
            customer: keys.customer,
            tenant: keys.tenant,
            index_page: page,
            index_tag: tag,
            state: whom.state,
            certificate: Some(whom.certificate),
            leaf: self.subject_row(call, &of.leaf, &keys, &[])?,
            told: Some(whom.told),
            today: call.time.day(),
        };
        let intend = || self.0.store.intend_erasure(intent.clone());
        if !self.reserved(intend).await? {
            return Ok(None);
        }
        let customer = keys.customer;
        let subject = self.subject(call.time, &keys, &[]);
        drop(keys);
        let shredded = self.shred(call, customer, page, &of.leaf, subject).await;
        // What is intended is carried out, whatever was answered.
        self.purge_behind(customer);
        Ok(Some((customer, shredded?)))
    }

    async fn shred(
        &self,
        call: &Call,
        customer: CustomerNumber,
        page: u64,
        leaf: &Leaf,
        subject: Result<Subject>,
    ) -> Result<CustomerView> {
        let shred = || self.0.store.shred(customer, page, call.time.day());
        let fence = self.reserved(shred).await?;
        self.finish_shred(call, customer, fence, leaf, subject?)
            .await?;
        Ok(CustomerView::Erased {
            level: Level::Shredded,
            epoch: fence.epoch,
            purge: Purge::default(),
        })
    }

    async fn look_before_erase(&self, call: &Arc<Call>, of: &Arc<Forgetting>) -> Result<Target> {
        let (vault, call, of) = (self.clone(), Arc::clone(call), Arc::clone(of));
        self.on_rows(move |rows, keyring| {
            let tenant = &of.tenant.1;
            let place = keyring.find(rows, tenant, &of.customer)?;
            let (Some(entry), Some(page)) = (place.entry, place.page) else {
                return Err(Error::NotFound(Missing::Customer));
            };
            let (Entry::Customer(customer) | Entry::Tombstone(customer)) = entry;
            match view(rows, keyring, tenant, customer)? {
                (view, None) => Ok(Target::Shredded(customer, view)),
                (_, Some(keys)) => {
                    let row = rows.customer(customer)?;
                    let row = super::find::owner_of(rows, customer, row)?;
                    let restraining = Restraining::of(keyring, &keys, &row)?;
                    if restraining.state().holds().next().is_some() {
                        let queueing = Queueing::of(&vault, &call, &of, &keys, restraining)?;
                        return Ok(Target::Held(customer, Box::new(queueing)));
                    }
                    let (kind, now) = (EventKind::Erased, Instant::now());
                    let told = tidings(rows, keyring, &keys, kind, None, now)?;
                    let whose = (of.tenant.0.as_str(), &of.customer);
                    Ok(Target::Alive(Box::new(Whom {
                        certificate: draft::intended(rows, keyring, &keys, whose)?,
                        state: row.state,
                        index: (page.page, place.tag),
                        told,
                        keys,
                    })))
                }
            }
        })
        .await
    }

    /// An erasure that was asked for before: what is left to do is done.
    async fn erase_again(
        &self,
        call: &Arc<Call>,
        of: &Leaf,
        customer: CustomerNumber,
        view: CustomerView,
    ) -> Result<CustomerView> {
        let mut leaf = of.clone();
        leaf.verdict = Verdict::Allowed;
        if !matches!(
            view,
            CustomerView::Erased {
                level: Level::Purged,
                ..
            }
        ) {
            self.purge_behind(customer);
            let fence = self.fence(customer).await?;
            self.finish_shred(call, customer, fence, &leaf, Subject::nobody()?)
                .await?;
        }
        Ok(self.record_plain(call, &leaf, view).await?.release())
    }

    async fn fence(&self, customer: CustomerNumber) -> Result<Fence> {
        let fence = self.on_rows(move |rows, _| rows.fence(customer)).await?;
        fence.ok_or(Error::Internal("an erasure without a fence"))
    }

    /// From the keys gone to L2: nothing of them left in `keys.db`'s log, and
    /// the shred leaf, which is written once however often this runs.
    async fn finish_shred(
        &self,
        call: &Call,
        customer: CustomerNumber,
        fence: Fence,
        of: &Leaf,
        subject: Subject,
    ) -> Result<()> {
        if !self.truncated(DataFile::Keys).await? {
            return Err(Error::ErasurePending);
        }
        self.copy_ledger_before_answering().await?;
        let mut leaf = of.clone();
        leaf.verdict = Verdict::Shredded;
        leaf.fact = Some(Fact::Shredded {
            keys: hex::encode(fence.fingerprint),
            epoch: fence.epoch,
        });
        let row = self.0.log.row(call, &leaf, subject);
        let record = || self.0.store.record_shred(customer, row.clone());
        self.reserved(record).await?;
        call.mark_recorded();
        Ok(())
    }

    /// A step of an erasure: where the disk is full it takes the reserve.
    pub(super) async fn reserved<T>(&self, step: impl Fn() -> Pending<T>) -> Result<T> {
        match step().in_time().await {
            Err(Error::Unavailable(Unavailable::DiskFull)) if self.0.store.spend_reserve() => {
                tracing::error!("the disk is full; the reserve serves erasures alone");
                step().in_time().await
            }
            done => done,
        }
    }

    /// Empties a write-ahead log, waiting for readers up to a limit; false
    /// where one still holds it then.
    pub(super) async fn truncated(&self, file: DataFile) -> Result<bool> {
        let deadline = tokio::time::Instant::now() + limits::TRUNCATE_TIME;
        while !self.0.store.truncate(file).in_time().await? {
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(limits::TRUNCATE_PAUSE).await;
        }
        Ok(true)
    }

    /// Purges a shredded customer's rows, behind the reply. One task a customer,
    /// however often it is asked for: while a reader holds a file, each would
    /// try again and again.
    fn purge_behind(&self, customer: CustomerNumber) {
        if !self.purging().insert(customer) {
            return;
        }
        let vault = self.clone();
        tokio::spawn(async move {
            while let Err(error) = vault.purge(customer).await {
                tracing::warn!(reason = error.reason(), "a purge waits");
                if !vault.is_sound() {
                    break;
                }
                tokio::time::sleep(limits::PURGE_PAUSE).await;
            }
            vault.purging().remove(&customer);
        });
    }

    fn purging(&self) -> MutexGuard<'_, HashSet<CustomerNumber>> {
        let purging = self.0.purging.lock();
        purging.unwrap_or_else(PoisonError::into_inner)
    }

    /// From the intent or L2 to L3, whatever of it is left to do. A call is begun
    /// only when its entry can be written at once: a reader may hold the files
    /// for long.
    pub(super) async fn purge(&self, customer: CustomerNumber) -> Result<()> {
        let erasure = self.on_rows(move |rows, _| rows.erasure(customer)).await?;
        let Some(erasure) = erasure.filter(|row| row.level < 3) else {
            return Ok(());
        };
        let begin = || self.0.log.begin("Purge", None, Instant::now());
        let (store, today, mut call) = (&self.0.store, Instant::now().day(), None);
        let shred = || store.shred(customer, erasure.index_page, today);
        let fence = self.reserved(shred).await?;
        let leaf = Leaf::new(Verdict::Shredded, "");
        if erasure.level < 2 {
            if !self.truncated(DataFile::Keys).await? {
                return Err(Error::ErasurePending);
            }
            let call = call.get_or_insert_with(begin);
            self.finish_shred(call, customer, fence, &leaf, Subject::nobody()?)
                .await?;
        }
        let tombstone = self.tombstone(&erasure).await?;
        let purge = || store.purge(customer, tombstone.clone());
        while !self.reserved(purge).await? {}
        if !self.truncated(DataFile::Vault).await? {
            return Err(Error::ErasurePending);
        }
        let call = call.get_or_insert_with(begin);
        let row = self.plain_row(call, &Leaf::new(Verdict::Purged, ""))?;
        let record = || store.record_purge(customer, today, row.clone());
        self.reserved(record).await?;
        call.mark_recorded();
        Ok(())
    }

    async fn tombstone(&self, erasure: &ErasureRow) -> Result<Option<Tombstone>> {
        let of = erasure.clone();
        self.on_rows(move |rows, keyring| keyring.tombstone(rows, &of))
            .await
    }

    /// Finishes what a crash cut off: erasures that were intended, creations
    /// that did not settle, noes that were noted and not carried out. Runs before the first call is served.
    pub async fn recover(&self) -> Result<()> {
        let (erasures, creations) = self
            .on_rows(|rows, _| {
                let mut absent = Vec::new();
                for customer in rows.creations()? {
                    absent.push((customer, rows.customer(customer)?.is_some()));
                }
                Ok((rows.erasures()?, absent))
            })
            .await?;
        self.forget_closed_certificates().await?;
        for (customer, is_there) in creations {
            if is_there {
                self.0.store.settle_customer(customer).in_time().await?;
            } else {
                self.0.store.abandon_customer(customer).in_time().await?;
            }
        }
        for erasure in erasures {
            match self.purge(erasure.customer).await {
                // The keys are gone. Whoever else reads the files, a backup
                // perhaps, keeps remnants on disk, but not the vault shut.
                // So does a copy of the ledger that cannot be written now.
                Err(Error::ErasurePending | Error::LedgerPending) => {
                    self.purge_behind(erasure.customer);
                }
                done => done?,
            }
            // Nobody waits for it any more.
            self.certify_unasked(erasure.customer).await;
        }
        self.replay_ledger().await?;
        self.carry_on_with_all().await
    }
}
