//! Restrictions and holds in `vault.db`.

use super::Sqlite;
use super::consent::{ABOUT_BITS, swap_state};
use super::reader::{Reader, request};
use super::vault_file::{append_one, claim};
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::store::{
    ChangeRestraints, ConsentOutcome, LedgerKind, Pending, RestraintRow, RestraintRows,
    RestraintStore, StateChange,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// `restraints.review_day` where none was said: after all others.
const NEVER: i32 = i32::MAX;

impl RestraintStore for Sqlite {
    fn change_restraints(&self, new: ChangeRestraints) -> Pending<ConsentOutcome> {
        if new.change.placed.is_some() {
            self.vault.change(move |db| change(db, &new))
        } else {
            self.ordinary(&self.vault, move |db| change(db, &new))
        }
    }
}

fn change(db: &Connection, new: &ChangeRestraints) -> rusqlite::Result<ConsentOutcome> {
    if let Some((asked, _)) = &new.request
        && let Some(row) = request(db, &asked.key, asked.today)?
    {
        return Ok(ConsentOutcome::Repeated(row));
    }
    if let Some(lost) = apply(db, &new.change)? {
        return Ok(lost);
    }
    if let Some((asked, outcome)) = &new.request {
        claim(db, asked, new.change.customer, *outcome)?;
    }
    append_one(db, &new.leaf)?;
    Ok(ConsentOutcome::Done)
}

/// Puts the new state in the place of the one that was read; answers why not.
/// What is about to be erased is not held any more.
pub fn apply(db: &Connection, new: &StateChange) -> rusqlite::Result<Option<ConsentOutcome>> {
    let is_being_erased = db
        .prepare_cached("SELECT 1 FROM erasures WHERE customer = ?1")?
        .exists([new.customer.0])?;
    if is_being_erased {
        return Ok(Some(ConsentOutcome::Gone));
    }
    let lost = swap_state(db, new.customer, &new.was, &new.state, &new.state_mac)?;
    if lost.is_some() {
        return Ok(lost);
    }
    for placed in &new.lifted {
        db.prepare_cached("DELETE FROM restraints WHERE customer = ?1 AND placed = ?2")?
            .execute(params![new.customer.0, placed])?;
    }
    if let Some(row) = &new.placed {
        db.prepare_cached(
            "INSERT INTO restraints (number, tenant, customer, placed, kind, about, review_day,
                                     sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            row.number,
            row.tenant.0,
            row.customer.0,
            row.placed,
            row.kind,
            row.about,
            row.review.map_or(NEVER, |day| day.0),
            row.sealed
        ])?;
    }
    Ok(None)
}

/// Nothing is left of a forgotten customer's.
pub fn forget(db: &Connection, customer: CustomerNumber) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM restraints WHERE customer = ?1")?
        .execute([customer.0])?;
    Ok(())
}

const COLUMNS: &str = "number, tenant, customer, placed, kind, about, review_day, sealed";

fn row_of(row: &Row<'_>) -> rusqlite::Result<RestraintRow> {
    let review: i32 = row.get(6)?;
    Ok(RestraintRow {
        number: row.get(0)?,
        tenant: TenantNumber(row.get(1)?),
        customer: CustomerNumber(row.get(2)?),
        placed: row.get(3)?,
        kind: row.get(4)?,
        about: row.get(5)?,
        review: (review != NEVER).then_some(Day(review)),
        sealed: row.get(7)?,
    })
}

impl RestraintRows for Reader {
    fn restraint(&mut self, number: u64) -> Result<Option<RestraintRow>> {
        let sql = format!("SELECT {COLUMNS} FROM restraints WHERE number = ?1");
        Ok(self
            .vault()?
            .prepare_cached(&sql)?
            .query_row([number], row_of)
            .optional()?)
    }

    fn restraints_of(&mut self, customer: CustomerNumber) -> Result<Vec<RestraintRow>> {
        let sql = format!("SELECT {COLUMNS} FROM restraints WHERE customer = ?1 ORDER BY placed");
        let mut statement = self.vault()?.prepare_cached(&sql)?;
        let rows = statement.query_map([customer.0], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn holds_of_tenant(
        &mut self,
        tenant: TenantNumber,
        after: Option<(Day, u64)>,
        most: usize,
    ) -> Result<Vec<RestraintRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM restraints
             WHERE tenant = ?1 AND kind = 2 AND (review_day, number) > (?2, ?3)
             ORDER BY review_day, number LIMIT ?4"
        );
        let mut statement = self.vault()?.prepare_cached(&sql)?;
        let (day, number) = after.map_or((i32::MIN, 0), |(day, number)| (day.0, number));
        let rows = statement.query_map(params![tenant.0, day, number, most], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn restricted_for(
        &mut self,
        cause: u32,
        after: CustomerNumber,
        most: usize,
    ) -> Result<Vec<CustomerNumber>> {
        let mut statement = self.vault()?.prepare_cached(
            "SELECT DISTINCT customer FROM restraints
             WHERE kind = 1 AND about = ?1 AND customer > ?2 ORDER BY customer LIMIT ?3",
        )?;
        let rows = statement.query_map(params![cause, after.0, most], |row| {
            Ok(CustomerNumber(row.get(0)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn is_lifted(&mut self, customer: CustomerNumber, placed: u64) -> Result<bool> {
        let lifted = "SELECT 1 FROM ledger WHERE kind = ?1 AND customer = ?2 AND number = ?3";
        let mut lifted = self.keys()?.prepare_cached(lifted)?;
        let kind = LedgerKind::Lifted as u8;
        Ok(lifted.exists(params![kind, customer.0, placed << ABOUT_BITS])?)
    }
}
