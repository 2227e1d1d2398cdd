//! People's requests in `vault.db`.

use super::Sqlite;
use super::reader::{Reader, request};
use super::restraints;
use super::vault_file::{append, claim};
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::store::{
    ChangeRights, ConsentOutcome, OpenRights, Pending, RightsRow, RightsRows, RightsStore,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// `rights.due_day` where no law names one: after all others.
const NEVER: i32 = i32::MAX;
/// The first of the states that end a request.
pub const ENDED: u8 = 6;

impl RightsStore for Sqlite {
    fn open_rights(&self, new: OpenRights) -> Pending<ConsentOutcome> {
        self.ordinary(&self.vault, move |db| open(db, &new))
    }

    fn change_rights(&self, change: ChangeRights) -> Pending<bool> {
        self.vault.change(move |db| changed(db, &change))
    }
}

fn open(db: &Connection, new: &OpenRights) -> rusqlite::Result<ConsentOutcome> {
    if let Some(known) = request(db, &new.claim.key, new.claim.today)? {
        return Ok(ConsentOutcome::Repeated(known));
    }
    if let Some(change) = &new.restrain
        && let Some(lost) = restraints::apply(db, change)?
    {
        return Ok(lost);
    }
    let row = &new.row;
    db.prepare_cached(
        "INSERT INTO rights (number, tenant, customer, kind, state, received_day, due_day,
                             revision, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        row.number,
        row.tenant.0,
        row.customer.0,
        row.kind,
        row.state,
        row.received.0,
        row.due.map_or(NEVER, |day| day.0),
        row.revision,
        row.sealed
    ])?;
    claim(db, &new.claim, row.customer, row.number)?;
    append(db, std::slice::from_ref(&new.leaf))?;
    Ok(ConsentOutcome::Done)
}

fn changed(db: &Connection, change: &ChangeRights) -> rusqlite::Result<bool> {
    let row = &change.row;
    let sql = "SELECT 1 FROM rights WHERE number = ?1 AND revision = ?2 - 1";
    let is_first = db
        .prepare_cached(sql)?
        .exists(params![row.number, row.revision])?;
    if !is_first {
        return Ok(false);
    }
    if let Some(change) = &change.restrain
        && restraints::apply(db, change)?.is_some()
    {
        return Ok(false);
    }
    let moved = db
        .prepare_cached(
            "UPDATE rights SET state = ?2, due_day = ?3, revision = ?4, sealed = ?5
             WHERE number = ?1 AND revision = ?4 - 1",
        )?
        .execute(params![
            row.number,
            row.state,
            row.due.map_or(NEVER, |day| day.0),
            row.revision,
            row.sealed
        ])?;
    if moved == 1 {
        append(db, std::slice::from_ref(&change.leaf))?;
    }
    Ok(moved == 1)
}

/// What becomes of a forgotten customer's requests: what was about them is
/// gone, and so is the way from them to it; an erasure that was being carried
/// out is done.
pub fn forget(db: &Connection, customer: CustomerNumber) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE rights SET customer = 0, sealed = x'', revision = revision + 1,
                state = CASE WHEN kind = 6 AND state IN (4, 5) THEN 6 ELSE state END
         WHERE customer = ?1",
    )?
    .execute([customer.0])?;
    Ok(())
}

const COLUMNS: &str = "number, tenant, customer, kind, state, received_day, due_day, revision,
                       sealed";

fn row_of(row: &Row<'_>) -> rusqlite::Result<RightsRow> {
    let due: i32 = row.get(6)?;
    Ok(RightsRow {
        number: row.get(0)?,
        tenant: TenantNumber(row.get(1)?),
        customer: CustomerNumber(row.get(2)?),
        kind: row.get(3)?,
        state: row.get(4)?,
        received: Day(row.get(5)?),
        due: (due != NEVER).then_some(Day(due)),
        revision: row.get(7)?,
        sealed: row.get(8)?,
    })
}

impl RightsRows for Reader {
    fn open_rights_of(&mut self, customer: CustomerNumber) -> Result<Vec<RightsRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM rights
             WHERE customer = ?1 AND customer > 0 AND state < ?2 ORDER BY number"
        );
        let mut statement = self.vault()?.prepare_cached(&sql)?;
        let rows = statement.query_map(params![customer.0, ENDED], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn approved_erasures(&mut self, after: u64, most: usize) -> Result<Vec<RightsRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM rights
             WHERE kind = 6 AND state IN (4, 5) AND customer > 0 AND number > ?1
             ORDER BY number LIMIT ?2"
        );
        let mut statement = self.vault()?.prepare_cached(&sql)?;
        let rows = statement.query_map(params![after, most], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn rights(&mut self, number: u64) -> Result<Option<RightsRow>> {
        let sql = format!("SELECT {COLUMNS} FROM rights WHERE number = ?1");
        Ok(self
            .vault()?
            .prepare_cached(&sql)?
            .query_row([number], row_of)
            .optional()?)
    }

    fn rights_of_tenant(
        &mut self,
        tenant: TenantNumber,
        open: bool,
        after: Option<(Day, u64)>,
        most: usize,
    ) -> Result<Vec<RightsRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM rights
             WHERE tenant = ?1 AND (due_day, number) > (?2, ?3) AND state < ?4
             ORDER BY due_day, number LIMIT ?5"
        );
        let mut statement = self.vault()?.prepare_cached(&sql)?;
        let (day, number) = after.map_or((i32::MIN, 0), |(day, number)| (day.0, number));
        let below = if open { ENDED } else { u8::MAX };
        let rows = statement.query_map(params![tenant.0, day, number, below, most], row_of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
