//! One customer under a new generation of their field key. It is added, and
//! every new write uses it; from then on nothing is written under an older one;
//! their records are re-encrypted, each by compare and swap; when a whole pass
//! found none that had changed meanwhile, the older generations go, and their
//! page is dirty. Where a customer stands is in the rows, so that a crash
//! leaves nothing to be known.

use super::Vault;
use super::find::newest_keys;
use super::keyring::{CustomerKeyring, Keyring};
use super::regroup::{Keep, is_under, regrouped};
use super::retention::Origins;
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::limits;
use crate::store::{DataFile, Destroyed, NewGeneration, RecordRow, Rows};
use std::sync::Arc;

/// How a new generation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With a key of its own, whatever is under way.
    Anew,
    /// With the one that is under way, if there is one.
    OrGoOn,
    /// To shred what is not kept under it.
    Partial,
}

/// What a look at some records found.
struct Looked {
    last: Option<u64>,
    /// Each with where its values came from, where that changes.
    old: Vec<(RecordRow, Option<Vec<u8>>)>,
    keys: CustomerKeyring,
}

impl Vault {
    /// Begins to shred a customer in part, or goes on with what was begun:
    /// answers the generation that what is kept goes on under.
    ///
    /// # Errors
    /// CUSTOMER_ERASED where the customer was forgotten.
    pub async fn begin_shred_in_part(&self, customer: CustomerNumber) -> Result<u32> {
        for _ in 0..limits::REVISION_RETRIES {
            let under_way = self.on_rows(move |rows, _| rows.partial_shred(customer));
            let to = match under_way.await? {
                Some(to) => Some(to),
                None => self.begin_generation(customer, Begin::Partial).await?,
            };
            if let Some(to) = to {
                return Ok(to);
            }
        }
        Err(Error::Contended)
    }

    /// Shreds a customer in part: what `keep` names by record type and field is
    /// re-encrypted under generation `to`, which was begun for it, records of
    /// which nothing is kept go, and all older generations are destroyed, noted
    /// in the ledger and stamped with the epoch that makes it final in backups
    /// too. It may be repeated after a failure or a crash with the same `keep`.
    /// CUSTOMER_ERASED where the customer was forgotten; ERASURE_PENDING where a
    /// reader still holds remnants.
    ///
    /// # Errors
    /// As said; and [`Error::Contended`] where it may be repeated at once.
    pub async fn shred_all_but(
        &self,
        customer: CustomerNumber,
        to: u32,
        keep: Arc<Keep>,
    ) -> Result<Destroyed> {
        let done = || self.on_rows(move |rows, _| rows.partial_shred_to(customer, to));
        let destroyed = match done().await? {
            Some(destroyed) => destroyed,
            None => {
                let shredded = self.finish_generation(customer, to, Some(keep)).await?;
                match shredded {
                    Some(destroyed) => destroyed,
                    // Somebody else's hands were faster, or the customer is gone.
                    None => done().await?.ok_or(Error::CustomerErased)?,
                }
            }
        };
        for file in [DataFile::Keys, DataFile::Vault] {
            if !self.truncated(file).await? {
                return Err(Error::ErasurePending);
            }
        }
        self.copy_ledger_before_answering().await?;
        Ok(destroyed)
    }

    /// Gives a customer a new generation and moves everything of theirs under
    /// it; answers what was destroyed.
    pub(super) async fn renew(
        &self,
        customer: CustomerNumber,
        begin: Begin,
    ) -> Result<Option<Destroyed>> {
        match self.begin_generation(customer, begin).await {
            Ok(_) => self.settle_generations(customer).await,
            // Forgotten meanwhile: there is nothing left to do.
            Err(Error::CustomerErased) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves everything of a customer under their newest generation, until
    /// there is no other. A shred in part that is under way is not touched.
    pub(super) async fn settle_generations(
        &self,
        customer: CustomerNumber,
    ) -> Result<Option<Destroyed>> {
        let mut last = None;
        for _ in 0..limits::ROTATE_PASSES {
            let newest = self.on_rows(move |rows, _| under_way(rows, customer));
            let Some(newest) = newest.await? else {
                return Ok(last);
            };
            last = self.finish_generation(customer, newest, None).await?;
        }
        Err(Error::Contended)
    }

    /// Adds the next generation; answers the one to move on to. `None` where a
    /// shred in part is under way, which brings one of its own.
    pub(super) async fn begin_generation(
        &self,
        customer: CustomerNumber,
        begin: Begin,
    ) -> Result<Option<u32>> {
        for _ in 0..limits::REVISION_RETRIES {
            let next = self
                .on_rows(move |rows, keyring| next_generation(rows, keyring, customer, begin))
                .await?;
            let new = match next {
                Next::Blocked => return Ok(None),
                Next::UnderWay(newest) => return Ok(Some(newest)),
                Next::New(new) => new,
            };
            let generation = new.generation;
            if self.0.store.add_generation(new).in_time().await? {
                return Ok(Some(generation));
            }
        }
        Err(Error::Contended)
    }

    /// Moves a customer's records under a generation and lets go of all before
    /// it. `None` where that was done, a newer one was begun or the customer
    /// was forgotten.
    async fn finish_generation(
        &self,
        customer: CustomerNumber,
        to: u32,
        keep: Option<Arc<Keep>>,
    ) -> Result<Option<Destroyed>> {
        let store = &self.0.store;
        // From here on no write brings an older generation back.
        store.require_generation(customer, to).in_time().await?;
        for _ in 0..limits::ROTATE_PASSES {
            match self.pass(customer, to, &keep).await {
                Ok(Some(0)) => {
                    let today = Instant::now().day();
                    let gone = store.destroy_generations(customer, to, today);
                    return gone.in_time().await;
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(Error::CustomerErased) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended)
    }

    /// One pass over a customer's records: how many changed meanwhile, so that
    /// another pass is due. `None` where a newer generation was begun.
    async fn pass(
        &self,
        customer: CustomerNumber,
        to: u32,
        keep: &Option<Arc<Keep>>,
    ) -> Result<Option<u64>> {
        let (mut after, mut missed) = (0, 0);
        loop {
            let of = keep.clone();
            let looked = self
                .on_rows(move |rows, keyring| {
                    look(rows, keyring, (customer, to, after), of.as_deref())
                })
                .await?;
            if looked.keys.generation != to {
                return Ok(None);
            }
            let Some(last) = looked.last else {
                return Ok(Some(missed));
            };
            after = last;
            if looked.old.is_empty() {
                continue;
            }
            let (deployment, keep) = (self.0.keyring.deployment(), keep.clone());
            let changed = self
                .beside(move || {
                    let (keys, keep) = (&looked.keys, keep.as_deref());
                    let old = looked.old.into_iter();
                    old.map(|(row, origin)| regrouped(deployment, keys, &row, (keep, origin)))
                        .collect::<Result<Vec<_>>>()
                })
                .await?;
            missed += self.0.store.reencrypt_records(changed).in_time().await?;
        }
    }
}

/// The records after a number that are not all under the generation.
fn look(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    (customer, to, after): (CustomerNumber, u32, u64),
    keep: Option<&Keep>,
) -> Result<Looked> {
    let found = rows.whole_records(customer, after, limits::ROTATE_RECORDS_READ)?;
    let last = found.last().map(|row| row.key.record.0);
    let keys = keyring.customer(customer, newest_keys(rows, customer)?)?;
    let deployment = keyring.deployment();
    let mut old = Vec::new();
    for row in found.into_iter().filter(|row| !is_under(row, to)) {
        let origin = match keep {
            Some(keep) => Origins::of(rows, deployment, &keys, row.key)?
                .only(|field| keep(row.record_type, field))
                .map(|origins| origins.seal(deployment, &keys, row.key))
                .transpose()?,
            None => None,
        };
        old.push((row, origin));
    }
    Ok(Looked { last, old, keys })
}

/// A customer's newest generation, where there are older ones to be rid of by
/// rotation.
fn under_way(rows: &mut dyn Rows, customer: CustomerNumber) -> Result<Option<u32>> {
    let fields = newest_keys(rows, customer)?.fields;
    if fields.len() < 2 || rows.partial_shred(customer)?.is_some() {
        return Ok(None);
    }
    Ok(fields.last().map(|key| key.generation))
}

enum Next {
    /// A shred in part is under way.
    Blocked,
    /// This one is under way.
    UnderWay(u32),
    /// To be added.
    New(NewGeneration),
}

fn next_generation(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    customer: CustomerNumber,
    begin: Begin,
) -> Result<Next> {
    let of_customer = newest_keys(rows, customer)?;
    let page = of_customer.page.clone();
    let keys = keyring.customer(customer, of_customer)?;
    if rows.partial_shred(customer)?.is_some() {
        return Ok(Next::Blocked);
    }
    let is_full = keys.generations() >= limits::GENERATIONS_AT_ONCE;
    let is_under_way = keys.generations() > 1 && begin == Begin::OrGoOn;
    if is_under_way || (is_full && begin != Begin::Partial) {
        return Ok(Next::UnderWay(keys.generation));
    }
    let (generation, wrapped) = keys.next_field()?;
    Ok(Next::New(NewGeneration {
        customer,
        generation,
        page: page.ok_or(Error::Internal("keys without a page"))?,
        wrapped,
        today: Instant::now().day(),
        is_partial: begin == Begin::Partial,
    }))
}
