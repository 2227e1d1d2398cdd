//! Requests for approval: rows of `keys.db`.

use super::Sqlite;
use super::reader::Reader;
use crate::clock::Instant;
use crate::error::{Error, Lost, Result};
use crate::store::{
    ApprovalAction, ApprovalRow, ApprovalRows, ApprovalState, ApprovalStore, Asked, Decision,
    NewApproval, Pending,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

fn use_or_ask(db: &Connection, new: &NewApproval) -> rusqlite::Result<Asked> {
    let open = db
        .prepare_cached(&format!(
            "{APPROVAL} WHERE action = ?1 AND target = ?2 AND requester = ?3 AND state <> ?4
               AND expires > ?5 ORDER BY approval DESC LIMIT 1"
        ))?
        .query_row(
            params![
                new.action as u8,
                new.target,
                new.requester,
                ApprovalState::Used as u8,
                new.now.micros()
            ],
            approval_of,
        )
        .optional()?
        .flatten();
    match open {
        None => ask(db, new).map(Asked::Waits),
        Some(row) => match row.state {
            ApprovalState::Approved => {
                db.execute(
                    "UPDATE approvals SET state = ?2 WHERE approval = ?1",
                    params![row.approval, ApprovalState::Used as u8],
                )?;
                Ok(Asked::Used(row))
            }
            ApprovalState::Rejected => Ok(Asked::Rejected(row.approval)),
            _ => Ok(Asked::Waits(row.approval)),
        },
    }
}

fn ask(db: &Connection, new: &NewApproval) -> rusqlite::Result<u64> {
    db.query_row(
        "INSERT INTO approvals (action, target, requester, reason, state, decider, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, '', ?6) RETURNING approval",
        params![
            new.action as u8,
            new.target,
            new.requester,
            new.reason,
            ApprovalState::Asked as u8,
            new.expires.micros()
        ],
        |row| row.get(0),
    )
}

fn decide(db: &Connection, decision: &Decision) -> rusqlite::Result<bool> {
    let state = if decision.approve {
        ApprovalState::Approved
    } else {
        ApprovalState::Rejected
    };
    let decided = db.execute(
        "UPDATE approvals SET state = ?2, decider = ?3
         WHERE approval = ?1 AND state = ?4 AND expires > ?5 AND requester <> ?3",
        params![
            decision.approval,
            state as u8,
            decision.decider,
            ApprovalState::Asked as u8,
            decision.now.micros()
        ],
    )?;
    Ok(decided == 1)
}

impl ApprovalStore for Sqlite {
    fn use_or_ask(&self, new: NewApproval) -> Pending<Asked> {
        self.ordinary(&self.keys, move |db| use_or_ask(db, &new))
    }

    fn decide_approval(&self, decision: Decision) -> Pending<bool> {
        self.ordinary(&self.keys, move |db| decide(db, &decision))
    }
}

const APPROVAL: &str = "SELECT approval, action, target, requester, reason, state, decider,
                               expires FROM approvals ";

fn approval_of(row: &Row<'_>) -> rusqlite::Result<Option<ApprovalRow>> {
    let (action, state): (u8, u8) = (row.get(1)?, row.get(5)?);
    let mut actions = ApprovalAction::ALL.into_iter();
    let Some(action) = actions.find(|known| *known as u8 == action) else {
        return Ok(None);
    };
    let state = match state {
        1 => ApprovalState::Asked,
        2 => ApprovalState::Approved,
        3 => ApprovalState::Rejected,
        4 => ApprovalState::Used,
        _ => return Ok(None),
    };
    Ok(Some(ApprovalRow {
        approval: row.get(0)?,
        action,
        target: row.get(2)?,
        requester: row.get(3)?,
        reason: row.get(4)?,
        state,
        decider: row.get(6)?,
        expires: Instant::from_micros(row.get(7)?),
    }))
}

impl Reader {
    fn approvals_where(&mut self, which: &str, values: &[&dyn ToSql]) -> Result<Vec<ApprovalRow>> {
        let mut statement = self
            .keys()?
            .prepare_cached(&format!("{APPROVAL} {which}"))?;
        let rows = statement.query_map(values, approval_of)?;
        let rows: Vec<Option<ApprovalRow>> = rows.collect::<rusqlite::Result<_>>()?;
        let rows = rows.into_iter();
        rows.map(|row| row.ok_or(Error::DataLoss(Lost::Row)))
            .collect()
    }
}

impl ApprovalRows for Reader {
    fn approval(&mut self, approval: u64) -> Result<Option<ApprovalRow>> {
        let found = self.approvals_where("WHERE approval = ?1", &[&approval])?;
        Ok(found.into_iter().next())
    }

    fn approvals(&mut self, most: usize) -> Result<Vec<ApprovalRow>> {
        self.approvals_where("ORDER BY approval DESC LIMIT ?1", &[&most])
    }

    fn used_approval(
        &mut self,
        action: ApprovalAction,
        target: u64,
    ) -> Result<Option<ApprovalRow>> {
        let found = self.approvals_where(
            "WHERE action = ?1 AND target = ?2 AND state = 4 ORDER BY approval DESC LIMIT 1",
            &[&(action as u8), &target],
        )?;
        Ok(found.into_iter().next())
    }
}
