//! Carrying out the ledger: a no that was noted in `keys.db` and is not in
//! `vault.db`, because the power failed in between or `vault.db` was restored
//! from before. A state that has moved on since is left alone: it knew of it.

use super::event::{Event, head_of, status_of};
use super::place;
use super::say::{no_is_told, told};
use crate::access::{Standing, State, Status};
use crate::audit::{Call, Leaf, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::limits;
use crate::store::{ConsentChange, ConsentOutcome, LedgerKind, Narrowing, Rows};
use crate::vault::Vault;
use crate::vault::find::newest_keys;
use crate::vault::keyring::Keyring;
use std::sync::Arc;

impl Vault {
    /// Carries out what of the ledger is not carried out yet. Runs before the
    /// first call is served.
    pub(in crate::vault) async fn replay_ledger(&self) -> Result<()> {
        let mut done = self.on_rows(|rows, _| rows.ledger_done()).await?;
        loop {
            let next = self.on_rows(move |rows, _| rows.narrowings(done, limits::REPLAY_ENTRIES));
            let entries = next.await?;
            let Some(last) = entries.last().map(|narrowing| narrowing.entry) else {
                return Ok(());
            };
            for narrowing in entries {
                match narrowing.kind {
                    LedgerKind::Restriction | LedgerKind::Hold => {
                        self.restrain_again(narrowing).await?;
                    }
                    _ => self.carry_out(narrowing).await?,
                }
            }
            self.0.store.ledger_is_done(last).in_time().await?;
            done = last;
        }
    }

    async fn carry_out(&self, narrowing: Narrowing) -> Result<()> {
        let mut begun = None;
        for _ in 0..limits::REVISION_RETRIES {
            let (vault, known) = (self.clone(), begun.clone());
            let change = self
                .on_rows(move |rows, keyring| vault.replayed(rows, keyring, known, narrowing))
                .await?;
            let Some((change, call)) = change else {
                return Ok(());
            };
            let store = || self.0.store.change_consent(change.clone());
            match self.reserved(store).await? {
                ConsentOutcome::Done => {
                    call.mark_recorded();
                    return Ok(());
                }
                ConsentOutcome::Gone => return Ok(()),
                _ => begun = Some(call),
            }
        }
        Err(Error::Contended)
    }

    fn replayed(
        &self,
        rows: &mut dyn Rows,
        keyring: &Keyring,
        call: Option<Arc<Call>>,
        narrowing: Narrowing,
    ) -> Result<Option<(ConsentChange, Arc<Call>)>> {
        let keys = newest_keys(rows, narrowing.customer)?;
        let row = rows.customer(narrowing.customer)?;
        // Forgotten since, or not restored: there is nobody to say no.
        let (Some(_), Some(row)) = (&keys.identity, row) else {
            return Ok(None);
        };
        let keys = keyring.customer(narrowing.customer, keys)?;
        let mut state = keys.facts(&row)?.into_state();
        if state.revision > narrowing.revision {
            return Ok(None);
        }
        let purpose = u16::try_from(narrowing.about).unwrap_or(0);
        let (now, consent) = (Instant::now(), keys.consent());
        // A call is only begun for what will have its entry.
        let call = call.unwrap_or_else(|| Arc::new(self.0.log.begin("Replay", None, now)));
        let event = Event::replayed(narrowing.kind, purpose, &state, now);
        let place = place(keyring.deployment(), &keys, &consent);
        let sealed = event.seal(&place, self.signing()?)?;
        let status = status_of(narrowing.kind);
        narrow(&mut state, purpose, status)?;
        (state.events, state.head) = (event.number, head_of(&sealed));
        state.revision = narrowing.revision + 1;
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        told(&mut leaf, status, event.number);
        let change = ConsentChange {
            customer: keys.customer,
            was: row.state,
            state: state.encode(),
            state_mac: state.mac(&keys.identity.state, keys.customer),
            events: vec![(event.number, sealed)],
            request: None,
            leaf: self.subject_row(&call, &leaf, &keys, &[])?,
            narrows: true,
            told: vec![no_is_told(rows, keyring, &keys, narrowing, now)?],
            ends: vec![now.day()],
        };
        Ok(Some((change, call)))
    }
}

fn narrow(state: &mut State, purpose: u16, status: Status) -> Result<()> {
    let (before, explicit) = (
        state.standing(purpose, false),
        state.standing(purpose, true),
    );
    let is_withdrawal = status == Status::Withdrawn;
    let has_explicit = explicit.status != Status::Unknown;
    if is_withdrawal && has_explicit {
        state.set(Standing { status, ..explicit })?;
    }
    // A contract goes on beside an explicit consent that is taken back.
    let is_contract = matches!(before.status, Status::Asserted | Status::Revoked);
    let is_beside = before.status == Status::Unknown && has_explicit;
    if !(is_withdrawal && (is_contract || is_beside)) {
        state.set(Standing { status, ..before })?;
    }
    Ok(())
}
