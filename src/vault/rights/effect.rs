//! What a request does to its customer's state: an erasure, contested data and
//! an objection restrict until they are decided; an approved restriction stays
//! until it is lifted. State and request change in one transaction.

use super::request::{Event, Kind, Request};
use crate::access::{Cause, Restrained};
use crate::error::Result;
use crate::store::{CustomerRow, Narrowing, StateChange};
use crate::vault::keyring::{CustomerKeyring, Keyring};
use crate::vault::restraint::{Note, Restraining};

/// A change of the state, and what the ledger notes of it first.
pub type Effect = Option<(StateChange, Option<Narrowing>)>;

/// Whose state, and who acts when.
pub struct Subject<'a> {
    /// Which vault.
    pub keyring: &'a Keyring,
    /// The customer's keys.
    pub keys: &'a CustomerKeyring,
    /// The customer's row as it was read.
    pub row: &'a CustomerRow,
    /// The request's number.
    pub number: u64,
    /// Which service acts.
    pub by: &'a str,
    /// When.
    pub time: i64,
}

impl Subject<'_> {
    /// A request is opened: what it restricts at once.
    pub fn opened(&self, request: &mut Request, cause: Option<Cause>) -> Result<Effect> {
        let Some(cause) = cause else {
            return Ok(None);
        };
        let mut restraining = Restraining::of(self.keyring, self.keys, self.row)?;
        let mut note = Note::new(self.by, self.time, String::new());
        note.request = Some(self.number);
        let (placed, _) = restraining.place(Restrained::Restricted(cause), note, None)?;
        request.content.restraint = Some(placed);
        Ok(Some(restraining.done()))
    }

    /// Something happened to a request: `before` and `next` are as it stood and
    /// shall stand.
    pub fn happened(&self, before: &Request, next: &Request, event: &Event) -> Result<Effect> {
        let mut restraining = Restraining::of(self.keyring, self.keys, self.row)?;
        if let (Some(placed), None) = (before.content.restraint, next.content.restraint) {
            // Where it is gone already it was lifted by hand.
            restraining.lift(placed);
        }
        let asks = before.kind == Kind::Restriction && *event == Event::Approve;
        if asks && !restraining.state().is_restricted_for(Cause::Asked) {
            let note = Note::new(self.by, self.time, before.content.text.clone());
            restraining.place(Restrained::Restricted(Cause::Asked), note, None)?;
        }
        Ok((!restraining.is_unchanged()).then(|| restraining.done()))
    }
}
