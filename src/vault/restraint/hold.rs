//! Holds: all of a customer, one record type or one field is kept for somebody
//! who may demand it, and used for nothing else. While there is one what it is
//! about is not erased, and what was to be erased meanwhile is when it is released.
//! What is erased, or being erased, cannot be held any more.

use super::{Looked, Note, Restraining, alive, fact};
use crate::access::{Cause, Grant, HandleHold, Keep, ListHolds, Restrained, Scope, State};
use crate::audit::{Agreed, Call, Fact, Leaf, Verdict};
use crate::clock::Day;
use crate::error::{Error, Lost, Missing, Result};
use crate::id::{CustomerId, CustomerNumber, HoldNumber, RequestId, TenantNumber};
use crate::secret::SecretText;
use crate::store::{ApprovalAction, ChangeRestraints, CustomerRow, RestraintRow, Rows};
use crate::vault::Vault;
use crate::vault::find::{customer_name, owner_of};
use crate::vault::in_part::{left, within};
use crate::vault::keyring::{CustomerKeyring, Keyring};
use crate::vault::request::Request;
use crate::vault::rights::request::another;
use std::sync::Arc;

/// What a hold is placed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who demands it: a court, a regulator, the legal department.
    pub authority: String,
    /// By which law, a DPV justification; empty: none is named.
    pub code: String,
    /// Why.
    pub reason: String,
    /// Who looks at it again.
    pub reviewers: Vec<String>,
    /// By when.
    pub review: Day,
}

/// A hold as it is shown.
pub struct HoldView {
    /// Which.
    pub number: HoldNumber,
    /// `customers/{customer}`.
    pub customer: SecretText,
    /// What is held.
    pub scope: Scope,
    /// By when somebody looks at it again; `None` where only the ledger tells
    /// of it.
    pub review: Option<Day>,
    /// Something of the customer is erased already: only the rest of what this is
    /// about is held.
    pub of_the_rest: bool,
    /// The rest.
    pub note: Note,
}

/// A hold that was released.
pub struct Released {
    /// It.
    pub hold: HoldView,
    /// Of whom.
    pub customer: CustomerNumber,
}

/// A page of holds.
pub struct Holds {
    /// By their day of review.
    pub holds: Vec<HoldView>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<(Day, u64)>,
}

fn view(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    keys: &CustomerKeyring,
    row: &RestraintRow,
) -> Result<ViewOf> {
    let what = Restrained::of((row.kind, row.about));
    match what {
        Some(Restrained::Held(scope)) => Ok(ViewOf {
            number: HoldNumber(row.number),
            placed: row.placed,
            scope,
            review: row.review,
            of_the_rest: left(rows, keyring, keys)?.is_some_and(|left| !within(&[scope], &left)),
            note: Note::open(keyring.deployment(), keys, row)?,
        }),
        _ => Err(Error::NotFound(Missing::Hold)),
    }
}

/// A hold without the customer's name.
struct ViewOf {
    number: HoldNumber,
    /// The revision of the state that it was placed on.
    placed: u64,
    scope: Scope,
    review: Option<Day>,
    of_the_rest: bool,
    note: Note,
}

impl ViewOf {
    fn named(self, customer: SecretText) -> HoldView {
        HoldView {
            number: self.number,
            customer,
            scope: self.scope,
            review: self.review,
            of_the_rest: self.of_the_rest,
            note: self.note,
        }
    }
}

/// A tenant's hold, and whose it is.
fn found(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    tenant: TenantNumber,
    number: HoldNumber,
) -> Result<(CustomerKeyring, CustomerRow, ViewOf)> {
    let nobody = || Error::NotFound(Missing::Hold);
    let hold = rows.restraint(number.0)?;
    let hold = hold.filter(|hold| hold.tenant == tenant);
    let hold = hold.ok_or_else(nobody)?;
    let (keys, row) = alive(rows, keyring, hold.customer)?.ok_or_else(nobody)?;
    let shown = view(rows, keyring, &keys, &hold)?;
    Ok((keys, row, shown))
}

/// What is left of a customer whose erasure has begun: nothing else can be held
/// any more. `None`: it has not begun.
fn what_is_left(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    keys: &CustomerKeyring,
    state: &State,
) -> Result<Option<Vec<Scope>>> {
    if let Some(left) = left(rows, keyring, keys)? {
        return Ok(Some(left));
    }
    let has_begun = state.is_restricted_for(Cause::Queued) && !state.is_held();
    Ok(has_begun.then(|| state.holds().collect()))
}

/// Who released a hold and who approved that, where it takes an approval.
fn agreed(leaf: &mut Leaf, by: &str, approver: &str) {
    if approver.is_empty() {
        return;
    }
    if let Some(Fact::Restraint { agreed, .. }) = &mut leaf.fact {
        *agreed = Some(Agreed {
            requester: by.to_owned(),
            approver: approver.to_owned(),
        });
    }
}

fn request_of(grant: &Grant<Keep>, terms: &Terms, id: RequestId) -> Request {
    let keep = grant.target();
    let (review, reviewers) = (terms.review.0.to_be_bytes(), terms.reviewers.join("\n"));
    let parts: [&[u8]; 8] = [
        b"hold",
        keep.customer.expose().as_bytes(),
        keep.what.as_bytes(),
        terms.authority.as_bytes(),
        terms.reason.as_bytes(),
        reviewers.as_bytes(),
        &review,
        terms.code.as_bytes(),
    ];
    Request::new(grant.principal(), id, &parts)
}

impl Vault {
    /// Places the grant's hold.
    pub async fn place_hold(
        &self,
        call: &Arc<Call>,
        grant: Grant<Keep>,
        terms: Terms,
        id: RequestId,
    ) -> Result<HoldView> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let request = request_of(&grant, &terms, id);
        let look = move |vault: &Self, call: &Call, rows: &mut dyn Rows, keyring: &Keyring| {
            let (keep, who) = (grant.target(), grant.principal());
            let found = keyring.keys_of(rows, &tenant, &keep.customer);
            let keys = vault.quota().admit(who, call.time, found)?;
            let row = rows.customer(keys.customer)?;
            let row = owner_of(rows, keys.customer, row)?;
            let name = customer_name(keyring.deployment(), &keys, &row)?;
            let mut leaf = vault.leaf(&grant, Verdict::Allowed);
            if let Some(known) = request.known(rows, call.time.day())? {
                request.is_same(&keys.identity, &known)?;
                let hold = rows.restraint(known.outcome)?;
                let hold = hold.ok_or(Error::NotFound(Missing::Hold))?;
                let leaf = vault.subject_row(call, &leaf, &keys, &[])?;
                let hold = view(rows, keyring, &keys, &hold)?.named(name);
                return Ok(Looked::Settled(hold, leaf));
            }
            let mut restraining = Restraining::of(keyring, &keys, &row)?;
            let held = Restrained::Held(keep.scope);
            let what_is_left = what_is_left(rows, keyring, &keys, restraining.state())?;
            let is_there = |left: &Vec<Scope>| left.iter().any(|s| s.meet(keep.scope).is_some());
            if !what_is_left.as_ref().is_none_or(is_there) {
                return Err(Error::HoldTooLate);
            }
            let note = Note {
                authority: terms.authority.clone(),
                code: terms.code.clone(),
                reviewers: terms.reviewers.clone(),
                what: keep.what.clone(),
                ..Note::new(who.name(), call.time.micros(), terms.reason.clone())
            };
            let review = Some(terms.review);
            let (placed, number) = restraining.place(held, note.clone(), review)?;
            fact(&mut leaf, "placed", held);
            let hold = ViewOf {
                number: HoldNumber(number),
                placed,
                scope: keep.scope,
                review,
                of_the_rest: what_is_left.is_some_and(|left| !within(&[keep.scope], &left)),
                note,
            };
            let leaf = vault.subject_row(call, &leaf, &keys, &[])?;
            let (change, narrowing) = restraining.done();
            let claim = request.claim(&keys.identity, call.time.day());
            let change = ChangeRestraints {
                change,
                request: Some((claim, number)),
                leaf,
            };
            let hold = hold.named(name);
            Ok(Looked::Change(Box::new(change), narrowing, hold))
        };
        self.restrain(call, None, look).await
    }

    /// Releases the grant's hold; where two must agree, not by who placed it,
    /// and where that takes an approval, only with one.
    pub async fn release_hold(
        &self,
        call: &Arc<Call>,
        grant: Grant<HandleHold>,
    ) -> Result<Released> {
        let tenant = self.tenant(grant.principal().tenant())?.number;
        let four_eyes = self.office().four_eyes;
        let (number, by) = (grant.target().hold, Arc::clone(grant.principal().name()));
        // What cannot be released uses up nobody's approval.
        let of = Arc::clone(&by);
        self.on_rows(move |rows, keyring| {
            let (_, _, hold) = found(rows, keyring, tenant, number)?;
            another(four_eyes, &of, &hold.note.by)
        })
        .await?;
        let reason = format!("{} is to be released", number.text());
        let room = self.approvals();
        let action = ApprovalAction::LiftHold;
        let approved = room.consume(action, number.0, &by, &reason).await?;
        let look = move |vault: &Self, call: &Call, rows: &mut dyn Rows, keyring: &Keyring| {
            let (keys, row, shown) = found(rows, keyring, tenant, number)?;
            another(four_eyes, grant.principal().name(), &shown.note.by)?;
            let mut restraining = Restraining::of(keyring, &keys, &row)?;
            if !restraining.lift(shown.placed) {
                return Err(Error::DataLoss(Lost::State));
            }
            let mut leaf = vault.leaf(&grant, Verdict::Allowed);
            fact(&mut leaf, "released", Restrained::Held(shown.scope));
            agreed(&mut leaf, &by, approved.approver());
            let name = customer_name(keyring.deployment(), &keys, &row)?;
            let released = Released {
                hold: shown.named(name),
                customer: keys.customer,
            };
            let leaf = vault.subject_row(call, &leaf, &keys, &[])?;
            let (change, narrowing) = restraining.done();
            let request = None;
            let change = ChangeRestraints {
                change,
                request,
                leaf,
            };
            Ok(Looked::Change(Box::new(change), narrowing, released))
        };
        self.restrain(call, None, look).await
    }

    /// The holds of the grant's customer, or a page of everybody's by their day
    /// of review.
    pub async fn list_holds(
        &self,
        call: &Arc<Call>,
        grant: Grant<ListHolds>,
        after: Option<(Day, u64)>,
        most: usize,
    ) -> Result<Holds> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let whose = grant.target().customer.as_ref();
        let whose = whose.map(|id| CustomerId::parse("customer", id.expose()));
        let whose = whose.transpose()?;
        let (quota, now, who) = (self.quota(), call.time, Arc::clone(grant.principal()));
        let (holds, subjects, next) = self
            .on_rows(move |rows, keyring| {
                let (found, more) = match whose {
                    Some(id) => {
                        let found = keyring.keys_of(rows, &tenant, &id);
                        let keys = quota.admit(&who, now, found)?;
                        (rows.restraints_of(keys.customer)?, false)
                    }
                    None => {
                        let one_more = most.saturating_add(1);
                        let mut found = rows.holds_of_tenant(tenant.number, after, one_more)?;
                        let more = found.len() > most;
                        found.truncate(most);
                        (found, more)
                    }
                };
                let never = Day(i32::MAX);
                let last = found.last().filter(|_| more);
                let next = last.map(|row| (row.review.unwrap_or(never), row.number));
                let (mut holds, mut subjects) = (Vec::new(), Vec::new());
                for row in found.iter().filter(|row| row.kind == 2) {
                    // Erased meanwhile: there is nothing left to hold.
                    let Some((keys, owner)) = alive(rows, keyring, row.customer)? else {
                        continue;
                    };
                    let name = customer_name(keyring.deployment(), &keys, &owner)?;
                    holds.push(view(rows, keyring, &keys, row)?.named(name));
                    subjects.push(keys);
                }
                Ok((holds, subjects, next))
            })
            .await?;
        let mut leaf = self.leaf(&grant, Verdict::Allowed);
        leaf.count = holds.len() as u64;
        let mut leaves = vec![self.plain_row(call, &leaf)?];
        leaf.count = 1;
        for keys in &subjects {
            leaves.push(self.subject_row(call, &leaf, keys, &[])?);
        }
        drop(subjects);
        let holds = Holds { holds, next };
        Ok(self.0.log.record(call, leaves, holds).await?.release())
    }
}
