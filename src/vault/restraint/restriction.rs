//! Restricting the processing of a customer's data by hand, and lifting that
//! once the person was told (GDPR art. 18(3)).

use super::{Looked, Note, Restraining, fact};
use crate::access::{Cause, Grant, Restrain, Restrained};
use crate::audit::{Call, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Result, Violation};
use crate::store::{ChangeRestraints, RestraintRow, Rows};
use crate::vault::Vault;
use crate::vault::customer::{CustomerView, active};
use crate::vault::events::EventKind;
use crate::vault::find::owner_of;
use crate::vault::keyring::{CustomerKeyring, Keyring};
use crate::vault::rights::request::State;
use std::sync::Arc;

impl Vault {
    /// Restricts the grant's customer. Restricted by hand already: nothing
    /// changes.
    pub async fn restrict_customer(
        &self,
        call: &Arc<Call>,
        grant: Grant<Restrain>,
        reason: String,
    ) -> Result<CustomerView> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let asked = Restrained::Restricted(Cause::Asked);
        let look = move |vault: &Self, call: &Call, rows: &mut dyn Rows, keyring: &Keyring| {
            let found = keyring.keys_of(rows, &tenant, &grant.target().customer);
            let who = grant.principal();
            let keys = vault.quota().admit(who, call.time, found)?;
            let row = rows.customer(keys.customer)?;
            let row = owner_of(rows, keys.customer, row)?;
            let mut restraining = Restraining::of(keyring, &keys, &row)?;
            let mut leaf = vault.leaf(&grant, Verdict::Allowed);
            if restraining.state().is_restricted_for(Cause::Asked) {
                let view = active(rows, &keys, &row, restraining.state())?;
                let leaf = vault.subject_row(call, &leaf, &keys, &[])?;
                return Ok(Looked::Settled(view, leaf));
            }
            let note = Note::new(who.name(), call.time.micros(), reason.clone());
            restraining.place(asked, note, None)?;
            fact(&mut leaf, "placed", asked);
            let view = active(rows, &keys, &row, restraining.state())?;
            let leaf = vault.subject_row(call, &leaf, &keys, &[])?;
            let (change, narrowing) = restraining.done();
            let request = None;
            let change = ChangeRestraints {
                change,
                request,
                leaf,
            };
            Ok(Looked::Change(Box::new(change), narrowing, view))
        };
        self.restrain(call, Some(EventKind::Restricted), look).await
    }

    /// Lifts the restrictions of the grant's customer, but for those of requests
    /// that are not ended and of an erasure that is queued. `told`: when the
    /// person was told of it, which is before it.
    pub async fn lift_restriction(
        &self,
        call: &Arc<Call>,
        grant: Grant<Restrain>,
        told: Instant,
    ) -> Result<CustomerView> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let look = move |vault: &Self, call: &Call, rows: &mut dyn Rows, keyring: &Keyring| {
            let found = keyring.keys_of(rows, &tenant, &grant.target().customer);
            let keys = vault.quota().admit(grant.principal(), call.time, found)?;
            let row = rows.customer(keys.customer)?;
            let row = owner_of(rows, keys.customer, row)?;
            let mut restraining = Restraining::of(keyring, &keys, &row)?;
            let mut leaf = vault.leaf(&grant, Verdict::Allowed);
            for (placed, what, since) in can_be_lifted(rows, keyring, &keys, call)? {
                was_told(told.micros(), since, call.time.micros())?;
                if restraining.lift(placed) {
                    fact(&mut leaf, "lifted", what);
                }
            }
            let view = active(rows, &keys, &row, restraining.state())?;
            let leaf = vault.subject_row(call, &leaf, &keys, &[])?;
            if restraining.is_unchanged() {
                return Ok(Looked::Settled(view, leaf));
            }
            let (change, narrowing) = restraining.done();
            let request = None;
            let change = ChangeRestraints {
                change,
                request,
                leaf,
            };
            Ok(Looked::Change(Box::new(change), narrowing, view))
        };
        self.restrain(call, Some(EventKind::RestrictionLifted), look)
            .await
    }
}

/// That the person was told after the restriction began and before it ends.
pub fn was_told(told: i64, since: i64, now: i64) -> Result<()> {
    if (since..=now).contains(&told) {
        return Ok(());
    }
    let rule = "must be after the restriction began and not in the future: the person is told \
                before it is lifted (GDPR art. 18(3))";
    Err(Error::invalid(Violation::new("person_told_time", rule)))
}

/// Restrictions that may be lifted by hand: their numbers, why they are, and
/// since when.
fn can_be_lifted(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    keys: &CustomerKeyring,
    call: &Call,
) -> Result<Vec<(u64, Restrained, i64)>> {
    let mut lifted = Vec::new();
    for row in rows.restraints_of(keys.customer)? {
        let Some(what @ Restrained::Restricted(cause)) = Restrained::of((row.kind, row.about))
        else {
            continue;
        };
        let note = Note::open(keyring.deployment(), keys, &row)?;
        if cause != Cause::Queued && is_over(rows, &row, note.request, call)? {
            lifted.push((row.placed, what, note.time));
        }
    }
    Ok(lifted)
}

/// Whether no request keeps the restriction up.
fn is_over(
    rows: &mut dyn Rows,
    row: &RestraintRow,
    request: Option<u64>,
    call: &Call,
) -> Result<bool> {
    let Some(number) = request else {
        return Ok(true);
    };
    let request = rows.rights(number)?;
    let request = request.filter(|request| request.customer == row.customer);
    Ok(request.is_none_or(|request| {
        let state = State::numbered(request.state);
        state.is_none_or(|state| state.on(call.time.day(), request.due).is_final())
    }))
}
