//! The room of consent in both files.

use super::reader::{Reader, request};
use super::vault_file::{append_one, claim};
use super::{Sqlite, events, keys_file, retention};
use crate::clock::Day;
use crate::error::Result;
use crate::id::CustomerNumber;
use crate::store::{
    ConsentChange, ConsentOutcome, ConsentRows, ConsentStore, LedgerKind, Narrowing, Pending,
};
use rusqlite::{Connection, OptionalExtension, params};

/// A ledger entry's number: the state's revision above, the purpose below.
const PURPOSE_BITS: u32 = 16;
/// The same of a restraint: below is what it is about.
pub const ABOUT_BITS: u32 = 32;

fn bits(kind: LedgerKind) -> u32 {
    match kind {
        LedgerKind::Restriction | LedgerKind::Hold | LedgerKind::Lifted => ABOUT_BITS,
        _ => PURPOSE_BITS,
    }
}

impl ConsentStore for Sqlite {
    fn note_narrowings(&self, narrowings: Vec<Narrowing>, today: Day) -> Pending<()> {
        self.keys.change(move |db| {
            let epoch = keys_file::newest_epoch(db)?;
            for no in &narrowings {
                let number = no.revision << bits(no.kind) | u64::from(no.about);
                keys_file::note(db, no.kind, no.customer, number, epoch, today)?;
            }
            Ok(())
        })
    }

    fn change_consent(&self, new: ConsentChange) -> Pending<ConsentOutcome> {
        if new.narrows {
            self.vault.change(move |db| change(db, &new))
        } else {
            self.ordinary(&self.vault, move |db| change(db, &new))
        }
    }

    fn ledger_is_done(&self, entry: u64) -> Pending<()> {
        self.vault.change(move |db| {
            db.execute(
                "INSERT INTO ledger_done (one, entry) VALUES (1, ?1)
                 ON CONFLICT (one) DO UPDATE SET entry = max(entry, ?1)",
                [entry],
            )
            .map(drop)
        })
    }
}

/// Puts a new state in the place of the one that was read; answers why not.
pub fn swap_state(
    db: &Connection,
    customer: CustomerNumber,
    was: &[u8],
    state: &[u8],
    mac: &[u8; 32],
) -> rusqlite::Result<Option<ConsentOutcome>> {
    let changed = db
        .prepare_cached(
            "UPDATE customers SET state = ?3, state_mac = ?4 WHERE customer = ?1 AND state = ?2",
        )?
        .execute(params![customer.0, was, state, &mac[..]])?;
    if changed == 1 {
        return Ok(None);
    }
    let there = db
        .prepare_cached("SELECT 1 FROM customers WHERE customer = ?1")?
        .exists([customer.0])?;
    Ok(Some(match there {
        true => ConsentOutcome::Lost,
        false => ConsentOutcome::Gone,
    }))
}

fn change(db: &Connection, new: &ConsentChange) -> rusqlite::Result<ConsentOutcome> {
    if let Some(asked) = &new.request
        && let Some(row) = request(db, &asked.key, asked.today)?
    {
        return Ok(ConsentOutcome::Repeated(row));
    }
    for told in &new.told {
        if !events::tells_all(db, Some(told))? {
            return Ok(ConsentOutcome::Lost);
        }
    }
    if let Some(lost) = swap_state(db, new.customer, &new.was, &new.state, &new.state_mac)? {
        return Ok(lost);
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO consent_events (customer, number, sealed) VALUES (?1, ?2, ?3)",
    )?;
    for (number, sealed) in &new.events {
        insert.execute(params![new.customer.0, number, sealed])?;
    }
    if let (Some(asked), Some((last, _))) = (&new.request, new.events.last()) {
        claim(db, asked, new.customer, u64::from(*last))?;
    }
    for told in &new.told {
        events::tell(db, told)?;
    }
    for day in &new.ends {
        retention::note_end(db, new.customer, *day)?;
    }
    append_one(db, &new.leaf)?;
    Ok(ConsentOutcome::Done)
}

impl ConsentRows for Reader {
    fn consent_events(
        &mut self,
        customer: CustomerNumber,
        after: u32,
        most: usize,
    ) -> Result<Vec<(u32, Vec<u8>)>> {
        let mut events = self.vault()?.prepare_cached(
            "SELECT number, sealed FROM consent_events
             WHERE customer = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
        )?;
        let rows = events.query_map(params![customer.0, after, most], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn ledger_done(&mut self) -> Result<u64> {
        let done = self
            .vault()?
            .query_row("SELECT entry FROM ledger_done", [], |row| row.get(0))
            .optional()?;
        Ok(done.unwrap_or(0))
    }

    fn narrowings(&mut self, after: u64, most: usize) -> Result<Vec<Narrowing>> {
        const KINDS: [LedgerKind; 5] = [
            LedgerKind::Withdrawal,
            LedgerKind::Objection,
            LedgerKind::BasisEnded,
            LedgerKind::Restriction,
            LedgerKind::Hold,
        ];
        let mut entries = self.keys()?.prepare_cached(
            "SELECT entry, kind, customer, number FROM ledger
             WHERE entry > ?1 AND kind IN (3, 4, 5, 6, 7) ORDER BY entry LIMIT ?2",
        )?;
        let rows = entries.query_map(params![after, most], |row| {
            let (kind, number): (u8, u64) = (row.get(1)?, row.get(3)?);
            let known = KINDS.into_iter().find(|known| *known as u8 == kind);
            let kind = known.unwrap_or(LedgerKind::Withdrawal);
            Ok(Narrowing {
                entry: row.get(0)?,
                kind,
                customer: CustomerNumber(row.get(2)?),
                about: u32::try_from(number & ((1 << bits(kind)) - 1)).unwrap_or(0),
                revision: number >> bits(kind),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
