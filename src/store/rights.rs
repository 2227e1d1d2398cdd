//! The room of people's requests: where each stands and by when it must be
//! answered, in the clear; all else sealed under the customer's own key.

use super::{ConsentOutcome, LeafRow, Pending, RequestClaim, StateChange};
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};

/// A request of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightsRow {
    /// Random: it says nothing of how many there are.
    pub number: u64,
    /// Whose customer asks.
    pub tenant: TenantNumber,
    /// Who asks; 0 once they are forgotten.
    pub customer: CustomerNumber,
    /// What is asked for (`vault::rights::request::Kind`).
    pub kind: u8,
    /// Where it stands (`vault::rights::request::State`).
    pub state: u8,
    /// The day it was received.
    pub received: Day,
    /// The day by which it must be answered, where a law says so.
    pub due: Option<Day>,
    /// One more with each change.
    pub revision: u64,
    /// What is about the person; empty once they are forgotten.
    pub sealed: Vec<u8>,
}

/// A request that is opened.
#[derive(Clone)]
pub struct OpenRights {
    /// The request.
    pub row: RightsRow,
    /// The call's request id.
    pub claim: RequestClaim,
    /// What it restricts at once.
    pub restrain: Option<StateChange>,
    /// The leaf.
    pub leaf: LeafRow,
}

/// A request that moves on.
#[derive(Clone)]
pub struct ChangeRights {
    /// The request as it shall stand, its revision one more than before.
    pub row: RightsRow,
    /// What it restricts, or restricts no longer.
    pub restrain: Option<StateChange>,
    /// The leaf.
    pub leaf: LeafRow,
}

/// Changes to requests.
pub trait RightsStore {
    /// `vault.db`: keeps a new request, with the call's request id and leaf.
    fn open_rights(&self, open: OpenRights) -> Pending<ConsentOutcome>;
    /// `vault.db`: changes a request. False where another was first, or the
    /// customer's state is another by now.
    fn change_rights(&self, change: ChangeRights) -> Pending<bool>;
}

/// Reads of requests.
pub trait RightsRows {
    /// `vault.db`: a customer's requests that are not ended.
    fn open_rights_of(&mut self, customer: CustomerNumber) -> Result<Vec<RightsRow>>;
    /// `vault.db`: erasures of all tenants that are approved or begun, by
    /// rising number after `after`, at most `most`.
    fn approved_erasures(&mut self, after: u64, most: usize) -> Result<Vec<RightsRow>>;
    /// `vault.db`: one request.
    fn rights(&mut self, number: u64) -> Result<Option<RightsRow>>;
    /// `vault.db`: a tenant's requests, by the day they are due, those without
    /// one last; after the one that `after` names (its day, its number), at
    /// most `most`. With `open` only those that are not ended.
    fn rights_of_tenant(
        &mut self,
        tenant: TenantNumber,
        open: bool,
        after: Option<(Day, u64)>,
        most: usize,
    ) -> Result<Vec<RightsRow>>;
}
