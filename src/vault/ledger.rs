//! Keeping the copy of the ledger in its second place up to date: after every
//! erasure and compromise, before it is acknowledged where that is asked for,
//! and now and then besides.

use super::Vault;
use super::unseal::at_start;
use crate::backup::LedgerCopy;
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::id::CustomerNumber;
use crate::limits;
use crate::store::LedgerEntry;
use std::sync::Arc;

/// The copy, and how it is kept.
pub(super) struct Kept {
    copy: Arc<LedgerCopy>,
    is_strict: bool,
    /// One writes at a time; who waits finds his entry written.
    turn: tokio::sync::Mutex<()>,
}

/// What the files say of each other at start.
struct Seen {
    newer: Option<CustomerNumber>,
    end: u64,
    at_copys_end: Option<LedgerEntry>,
    unproven: Option<i64>,
}

impl Vault {
    /// Looks whether the two files and the copy of the ledger are of one story,
    /// before anybody is served; from here on the copy is kept. Blocks.
    pub fn check_story(&self, copy: Option<LedgerCopy>, is_strict: bool) -> Result<()> {
        let reached = copy.as_ref().map_or(0, |copy| copy.head().entry);
        let seen = at_start(&*self.0.store, move |rows| {
            Ok(Seen {
                newer: rows.newer_than_keys()?,
                unproven: rows.unproven()?,
                end: rows.ledger_end()?,
                at_copys_end: match reached {
                    0 => None,
                    reached => rows.ledger(reached - 1, 1)?.pop(),
                },
            })
        })?;
        if let Some(customer) = seen.newer {
            return Err(Error::Setup(format!(
                "keys.db is older than vault.db: it does not know what became of customer number \
                 {}; put the newest keys.db back, or run `oubliette restore keys` with the copy \
                 of the ledger",
                customer.0
            )));
        }
        if let Some(restore) = seen.unproven {
            self.0.keyring.doubt_consent_before(restore);
        }
        let Some(copy) = copy else { return Ok(()) };
        self.same_story(&copy, &seen)?;
        let turn = tokio::sync::Mutex::default();
        let copy = Arc::new(copy);
        let kept = Kept {
            copy,
            is_strict,
            turn,
        };
        let set = self.0.ledger.set(kept);
        set.map_err(|_| Error::Internal("a second copy of the ledger"))
    }

    fn same_story(&self, copy: &LedgerCopy, seen: &Seen) -> Result<()> {
        let reached = copy.head().entry;
        if reached > seen.end {
            return Err(Error::Setup(format!(
                "keys.db is older than the copy of the ledger: {} has {reached} entries, keys.db \
                 {}; served like this it would bring back who was erased since; put the newest \
                 keys.db back, or run `oubliette restore keys --ledger {}`",
                copy.path().display(),
                seen.end,
                copy.path().display()
            )));
        }
        let is_same = match &seen.at_copys_end {
            Some(entry) => copy.ends_with(entry)?,
            None => reached == 0,
        };
        if !is_same {
            return Err(Error::Setup(format!(
                "{} tells another story than keys.db; it is the ledger of another life of this \
                 vault: put the right keys.db back, or move the ledger away if you know why",
                copy.path().display()
            )));
        }
        Ok(())
    }

    /// After what no restore may undo, an erasure or a compromise:
    /// LEDGER_PENDING where the copy must say so first and cannot be written.
    pub(super) async fn copy_ledger_before_answering(&self) -> Result<()> {
        let Some(kept) = self.0.ledger.get() else {
            return Ok(());
        };
        if kept.is_strict {
            return self.copy_ledger().await.map_err(|error| {
                tracing::error!("the copy of the ledger cannot be written: {error}");
                Error::LedgerPending
            });
        }
        let vault = self.clone();
        tokio::spawn(async move {
            if let Err(error) = vault.copy_ledger().await {
                tracing::warn!("the copy of the ledger waits: {error}");
            }
        });
        Ok(())
    }

    /// Brings the copy up to the newest entry. A copy that is there already is
    /// signed anew, with the log's newest leaf, once there is a newer one.
    pub async fn copy_ledger(&self) -> Result<()> {
        let Some(kept) = self.0.ledger.get() else {
            return Ok(());
        };
        let most = usize::try_from(limits::LEDGER_PART).unwrap_or(usize::MAX);
        let before = kept.copy.head();
        let _turn = kept.turn.lock().await;
        loop {
            let head = kept.copy.head();
            let (entries, leaves) = self
                .on_rows(move |rows, _| Ok((rows.ledger(head.entry, most)?, rows.newest_entry()?)))
                .await?;
            // Who waited finds it written.
            let is_new = !entries.is_empty() || (head == before && leaves > head.leaves);
            if !is_new {
                return Ok(());
            }
            let (copy, is_last) = (Arc::clone(&kept.copy), entries.len() < most);
            let time = Instant::now().seconds();
            let written =
                tokio::task::spawn_blocking(move || copy.append(&entries, time, leaves)).await;
            written.unwrap_or(Err(Error::Internal("a copy ended by itself")))?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Keeps the copy up to date for as long as the process runs.
    pub async fn keep_ledger(self) {
        if self.0.ledger.get().is_none() {
            return;
        }
        let mut look = tokio::time::interval(limits::LEDGER_LOOK);
        loop {
            look.tick().await;
            if let Err(error) = self.copy_ledger().await {
                tracing::warn!("the copy of the ledger waits: {error}");
            }
        }
    }
}
