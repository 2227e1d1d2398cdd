//! A restraint of the ledger that is not in `vault.db`, because the power failed
//! in between or `vault.db` was restored from before. One that was lifted again
//! is left out.

use super::{Looked, Note, Restraining, alive, fact};
use crate::access::Restrained;
use crate::audit::{Call, Leaf, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Lost, Result};
use crate::store::{ChangeRestraints, LedgerKind, Narrowing, Rows};
use crate::vault::Vault;
use crate::vault::keyring::Keyring;
use std::sync::Arc;

impl Vault {
    /// Places a restraint of the ledger, unless the state knows of it.
    pub(in crate::vault) async fn restrain_again(&self, narrowing: Narrowing) -> Result<()> {
        let is_needed = self
            .on_rows(move |rows, keyring| is_needed(rows, keyring, narrowing))
            .await?;
        if !is_needed {
            return Ok(());
        }
        let call = Arc::new(self.0.log.begin("Replay", None, Instant::now()));
        let look = move |vault: &Self, call: &Call, rows: &mut dyn Rows, keyring: &Keyring| {
            again(vault, call, rows, keyring, narrowing)
        };
        self.restrain(&call, None, look).await
    }
}

/// Whether there is somebody who does not know of it, and it still counts.
fn is_needed(rows: &mut dyn Rows, keyring: &Keyring, narrowing: Narrowing) -> Result<bool> {
    // Forgotten since, or not restored: there is nobody to restrain.
    let Some((keys, row)) = alive(rows, keyring, narrowing.customer)? else {
        return Ok(false);
    };
    let restraining = Restraining::of(keyring, &keys, &row)?;
    Ok(restraining.state().revision <= narrowing.revision
        && !rows.is_lifted(narrowing.customer, narrowing.revision)?)
}

fn again(
    vault: &Vault,
    call: &Call,
    rows: &mut dyn Rows,
    keyring: &Keyring,
    narrowing: Narrowing,
) -> Result<Looked<()>> {
    let found = alive(rows, keyring, narrowing.customer)?;
    let Some((keys, row)) = found else {
        return Ok(Looked::Nothing(()));
    };
    let mut restraining = Restraining::of(keyring, &keys, &row)?;
    let kind = match narrowing.kind {
        LedgerKind::Hold => 2,
        _ => 1,
    };
    let what = Restrained::of((kind, narrowing.about)).ok_or(Error::DataLoss(Lost::State))?;
    let mut note = Note::new("", call.time.micros(), String::new());
    if let Restrained::Held(_) = what {
        let (of, field) = (narrowing.about >> 16, narrowing.about & 0xffff);
        note.what = match (of, field) {
            (0, _) => String::new(),
            (of, 0) => of.to_string(),
            (of, field) => format!("{of}.{field}"),
        };
    }
    restraining.place_at(narrowing.revision, what, note)?;
    let mut leaf = Leaf::new(Verdict::Allowed, "");
    fact(&mut leaf, "replayed", what);
    let leaf = vault.subject_row(call, &leaf, &keys, &[])?;
    let (change, _) = restraining.done();
    let change = ChangeRestraints {
        change,
        request: None,
        leaf,
    };
    Ok(Looked::Change(Box::new(change), None, ()))
}
