//! Forgetting a customer in part. While something of theirs is held, and not
//! all of it, the rest is shredded at once: what is held goes on under a new
//! generation of the field key, every older one is destroyed. The order: they
//! are restricted (`queue.rs`), so that nothing is written any more; the
//! generation is begun; the intent with what goes and what is kept; records are
//! re-encrypted or go; the old keys go, with an entry in the ledger; both logs are
//! emptied; then a leaf says so, and what the customer said is forgotten with it.
//! Where it stands is in the rows, and every step may be repeated. When a hold
//! ends the same happens to what it alone had kept; when the last one does, the
//! customer is forgotten whole.

use super::Vault;
use super::certificate::draft;
use super::erase::Forgetting;
use super::events::{EventKind, tidings};
use super::keyring::{CustomerKeyring, Keyring};
use super::regroup::Keep;
use super::restraint::{Restraining, alive};
use crate::access::{Access, Restrained, Scope};
use crate::audit::{Call, Fact, Verdict};
use crate::catalog::Catalog;
use crate::clock::Instant;
use crate::crypto::{Deployment, Label, MessageContext, RecordBody, message};
use crate::error::{Error, Lost, Result};
use crate::id::{CustomerNumber, FieldNumber};
use crate::limits;
use crate::store::{Destroyed, PartialEnd, PartialIntent, PartialRow, Rows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What an erasure in part takes and what it leaves: stored sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// What goes, by the catalog's names: record types, or `type.field`.
    pub went: Vec<String>,
    /// What is kept: numbers of scopes.
    kept: Vec<u32>,
}

impl Share {
    fn kept(&self) -> Result<Vec<Scope>> {
        let scopes = self.kept.iter().map(|about| scope_of(*about));
        scopes.collect()
    }

    fn seal(
        &self,
        deployment: Deployment,
        keys: &CustomerKeyring,
        generation: u32,
    ) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|_| Error::Internal("a share"))?;
        message::seal(
            &keys.requests(),
            &place(deployment, keys, generation),
            &json,
        )
    }

    /// What a row of an erasure in part says.
    pub fn open(deployment: Deployment, keys: &CustomerKeyring, row: &PartialRow) -> Result<Self> {
        let lost = |()| Error::DataLoss(Lost::Row);
        let place = place(deployment, keys, row.generation);
        let opened = message::open(&keys.requests(), &place, &row.sealed);
        let opened = opened.map_err(|_| lost(()))?;
        serde_json::from_slice(opened.expose()).map_err(|_| lost(()))
    }
}

fn place(deployment: Deployment, keys: &CustomerKeyring, generation: u32) -> Vec<u8> {
    MessageContext {
        deployment,
        label: Label::Share,
        tenant: keys.tenant.0,
        customer: keys.customer.0,
        number: u64::from(generation),
        extra: 0,
    }
    .bytes()
}

fn scope_of(about: u32) -> Result<Scope> {
    match Restrained::of((2, about)) {
        Some(Restrained::Held(scope)) => Ok(scope),
        _ => Err(Error::DataLoss(Lost::Row)),
    }
}

/// What two lists of scopes have in common.
fn common(these: &[Scope], those: &[Scope]) -> Vec<Scope> {
    let mut both = Vec::new();
    for this in these {
        for that in those {
            both.extend(this.meet(*that).filter(|one| !both.contains(one)));
        }
    }
    both
}

/// Whether each of these is within one of those.
pub fn within(these: &[Scope], those: &[Scope]) -> bool {
    let is_within = |this: &Scope| those.iter().any(|that| this.meet(*that) == Some(*this));
    these.iter().all(is_within)
}

/// What is left of a customer by their last erasure in part; `None`: nothing was
/// erased of them.
pub fn left(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    keys: &CustomerKeyring,
) -> Result<Option<Vec<Scope>>> {
    let last = rows.partial_erasures(keys.customer)?.pop();
    let share = last.map(|row| Share::open(keyring.deployment(), keys, &row));
    share.transpose()?.map(|share| share.kept()).transpose()
}

/// What is to be done next.
enum Next {
    /// What can go is gone.
    Nothing,
    /// A generation is to be begun.
    Begin,
    /// It is begun; what goes is to be put on record.
    Intend(u32),
    /// It is on record; what is not kept is to be shredded.
    Shred(u32, Vec<Scope>),
}

fn next(rows: &mut dyn Rows, keyring: &Keyring, customer: CustomerNumber) -> Result<Next> {
    let Some((keys, row)) = alive(rows, keyring, customer)? else {
        return Err(Error::CustomerErased);
    };
    let restraining = Restraining::of(keyring, &keys, &row)?;
    let held: Vec<Scope> = restraining.state().holds().collect();
    let last = rows.partial_erasures(customer)?.pop();
    let kept = match &last {
        Some(row) => Share::open(keyring.deployment(), &keys, row)?.kept()?,
        None => vec![Scope::Customer],
    };
    if let Some(row) = last.as_ref().filter(|row| row.leaf == 0) {
        return Ok(Next::Shred(row.generation, kept));
    }
    if let Some(to) = rows.partial_shred(customer)? {
        return Ok(Next::Intend(to));
    }
    let all_is_held = restraining.state().is_held() && last.is_none();
    let is_done = last.is_some() && within(&kept, &held);
    Ok(match held.is_empty() || all_is_held || is_done {
        true => Next::Nothing,
        false => Next::Begin,
    })
}

/// Fields by record type and number.
type Numbers = BTreeSet<(u16, u16)>;

/// What some of a customer's records hold that is not kept; and where the next
/// ones begin.
fn look_for(
    rows: &mut dyn Rows,
    (customer, after): (CustomerNumber, u64),
    kept: &[Scope],
) -> Result<(Numbers, Option<u64>)> {
    let found = rows.whole_records(customer, after, limits::ROTATE_RECORDS_READ)?;
    let mut went = BTreeSet::new();
    for row in &found {
        let body = RecordBody::parse(&row.body).map_err(|_| Error::DataLoss(Lost::Record))?;
        let fields = body.groups().iter().flat_map(|group| &group.fields);
        let mut numbers: Vec<FieldNumber> = fields.map(|field| field.number).collect();
        if numbers.is_empty() {
            numbers.push(FieldNumber(0));
        }
        let of = row.record_type;
        let goes = numbers.into_iter().filter(|field| !keeps(kept, of, *field));
        went.extend(goes.map(|field| (of, field.0)));
    }
    Ok((went, found.last().map(|row| row.key.record.0)))
}

fn keeps(kept: &[Scope], record_type: u16, field: FieldNumber) -> bool {
    kept.iter().any(|scope| scope.covers(record_type, field))
}

/// By the catalog's names; of a record type of which nothing is kept the type
/// alone.
fn named(catalog: Option<&Catalog>, went: &Numbers, kept: &[Scope]) -> Vec<String> {
    let mut names = BTreeSet::new();
    for (of, field) in went {
        let known = catalog.and_then(|catalog| catalog.record_type_by_number(*of));
        let name = known.map_or_else(|| format!("type-{of}"), |known| known.name.to_string());
        let is_kept_in_part = kept
            .iter()
            .any(|scope| scope.meet(Scope::Type(*of)).is_some());
        if !is_kept_in_part {
            names.insert(name);
            continue;
        }
        let known = known.and_then(|known| known.field_by_number(FieldNumber(*field)));
        let field = known.map_or_else(|| format!("field-{field}"), |one| one.name.to_string());
        names.insert(format!("{name}.{field}"));
    }
    names.into_iter().collect()
}

impl Vault {
    /// From here on what is erased is called by the names of these rules'
    /// catalog. It is said once, at start.
    pub fn name_by(&self, access: &Arc<Access>) {
        // It is one catalog, reloaded in place, for as long as the process runs.
        let _known = self.0.access.set(Arc::clone(access));
    }

    /// Whether there is something to erase of a customer of whom something is
    /// held.
    pub(super) async fn is_unheld_left(&self, customer: CustomerNumber) -> Result<bool> {
        let next = self.on_rows(move |rows, keyring| next(rows, keyring, customer));
        Ok(!matches!(next.await?, Next::Nothing))
    }

    /// Erases what is not held of a restricted customer, to the end.
    pub(super) async fn forget_unheld(
        &self,
        call: &Arc<Call>,
        of: &Arc<Forgetting>,
        customer: CustomerNumber,
    ) -> Result<()> {
        for _ in 0..limits::PART_STEPS {
            let next = self.on_rows(move |rows, keyring| next(rows, keyring, customer));
            let done = match next.await? {
                Next::Nothing => return Ok(()),
                Next::Begin => self.begin_shred_in_part(customer).await.map(drop),
                Next::Intend(to) => self.intend_part(call, of, customer, to).await,
                Next::Shred(to, kept) => {
                    let keep: Arc<Keep> =
                        Arc::new(move |of: u16, field: FieldNumber| keeps(&kept, of, field));
                    match self.shred_all_but(customer, to, keep).await {
                        Ok(destroyed) => self.end_part(call, of, customer, (to, destroyed)).await,
                        Err(error) => Err(error),
                    }
                }
            };
            match done {
                // Somebody else is at it, or the state is another by now.
                Ok(()) | Err(Error::Contended) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended)
    }

    /// Puts on record what goes and what is kept, and tells those who read.
    async fn intend_part(
        &self,
        call: &Arc<Call>,
        of: &Arc<Forgetting>,
        customer: CustomerNumber,
        to: u32,
    ) -> Result<()> {
        let kept = self.on_rows(move |rows, keyring| {
            let (keys, row) = alive(rows, keyring, customer)?.ok_or(Error::CustomerErased)?;
            let restraining = Restraining::of(keyring, &keys, &row)?;
            let held: Vec<Scope> = restraining.state().holds().collect();
            let before = left(rows, keyring, &keys)?;
            let before = before.unwrap_or_else(|| vec![Scope::Customer]);
            Ok((common(&before, &held), row.state))
        });
        let (kept, state) = kept.await?;
        let went = self.what_goes(customer, &kept).await?;
        let rules = self.0.access.get().map(|access| access.now());
        let catalog = rules.as_ref().map(|rules| &**rules.catalog());
        let share = Share {
            went: named(catalog, &went, &kept),
            kept: kept.iter().map(|s| Restrained::Held(*s).code().1).collect(),
        };
        let (of, now) = (Arc::clone(of), call.time);
        let intent = self.on_rows(move |rows, keyring| {
            let (keys, _) = alive(rows, keyring, customer)?.ok_or(Error::CustomerErased)?;
            let kind = EventKind::ErasedInPart;
            let told = tidings(rows, keyring, &keys, kind, None, now)?;
            let tenant = (of.tenant.0.as_str(), of.tenant.1.number);
            Ok(PartialIntent {
                customer,
                generation: to,
                state,
                sealed: share.seal(keyring.deployment(), &keys, to)?,
                certificate: draft::living(keyring, &keys, tenant.0, &of.customer)?,
                told,
            })
        });
        let intent = intent.await?;
        let intend = || self.0.store.intend_partial(intent.clone());
        match self.reserved(intend).await? {
            true => Ok(()),
            false => Err(Error::Contended),
        }
    }

    async fn what_goes(&self, customer: CustomerNumber, kept: &[Scope]) -> Result<Numbers> {
        let (mut went, mut after) = (BTreeSet::new(), 0);
        loop {
            let kept = kept.to_vec();
            let looked = self.on_rows(move |rows, _| look_for(rows, (customer, after), &kept));
            let (more, last) = looked.await?;
            went.extend(more);
            let Some(last) = last else {
                return Ok(went);
            };
            after = last;
        }
    }

    /// The keys are gone: a leaf says so, and what the customer said goes.
    async fn end_part(
        &self,
        call: &Arc<Call>,
        of: &Arc<Forgetting>,
        customer: CustomerNumber,
        (to, destroyed): (u32, Destroyed),
    ) -> Result<()> {
        let (vault, asked, of) = (self.clone(), Arc::clone(call), Arc::clone(of));
        let end = self.on_rows(move |rows, keyring| {
            let (keys, row) = alive(rows, keyring, customer)?.ok_or(Error::CustomerErased)?;
            let mut restraining = Restraining::of(keyring, &keys, &row)?;
            restraining.forget_said();
            let mut leaf = of.leaf.clone();
            leaf.verdict = Verdict::Allowed;
            leaf.fact = Some(fact(&destroyed));
            let (change, _) = restraining.done();
            Ok(PartialEnd {
                destroyed,
                generation: to,
                change,
                leaf: vault.subject_row(&asked, &leaf, &keys, &[])?,
                today: Instant::now().day(),
            })
        });
        let end = end.await?;
        let store = || self.0.store.end_partial(end.clone());
        match self.reserved(store).await? {
            true => {
                call.mark_recorded();
                Ok(())
            }
            false => Err(Error::Contended),
        }
    }
}

fn fact(destroyed: &Destroyed) -> Fact {
    Fact::ShreddedInPart {
        keys: hex::encode(destroyed.fingerprint),
        epoch: destroyed.epoch,
        generation: destroyed.generation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_every_hold_list_has_in_common() {
        let (all, card, memo) = (Scope::Customer, Scope::Type(1), Scope::Type(2));
        let name = Scope::Field(1, FieldNumber(1));
        assert_eq!(common(&[all], &[name, memo]), [name, memo]);
        assert_eq!(common(&[card], &[name, all]), [name, card]);
        assert!(common(&[name], &[memo]).is_empty());
        assert!(within(&[name, memo], &[card, memo]) && within(&[], &[]));
        assert!(!within(&[card], &[name]) && within(&[card], &[all]));
    }

    #[test]
    fn what_goes_is_told_by_type_where_nothing_of_it_is_kept() {
        let went = BTreeSet::from([(1, 2), (1, 3), (2, 1), (2, 9)]);
        let kept = [Scope::Field(1, FieldNumber(1))];
        let told = named(None, &went, &kept);
        assert_eq!(told, ["type-1.field-2", "type-1.field-3", "type-2"]);
    }
}
