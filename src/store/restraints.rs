//! The room of restraints: restrictions and holds. That there is one stands in
//! the customer's state and, before it is acknowledged, in the ledger; here is
//! what is said of it, sealed under the customer's own key.

use super::consent::ConsentOutcome;
use super::row::LeafRow;
use super::{Pending, RequestClaim};
use crate::clock::Day;
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};

/// What is said of a restraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestraintRow {
    /// Random: it says nothing of how many there are.
    pub number: u64,
    /// Whose customer.
    pub tenant: TenantNumber,
    /// Whom it is about.
    pub customer: CustomerNumber,
    /// The revision of their state that it was placed on.
    pub placed: u64,
    /// 1 a restriction, 2 a hold (`access::Restrained::code`).
    pub kind: u8,
    /// Why, or of what (the same).
    pub about: u32,
    /// By when somebody looks at it again.
    pub review: Option<Day>,
    /// The rest.
    pub sealed: Vec<u8>,
}

/// A customer's state with a restraint more, or some less.
#[derive(Clone)]
pub struct StateChange {
    /// Whose.
    pub customer: CustomerNumber,
    /// The encoded state as it was read: it must still stand.
    pub was: Vec<u8>,
    /// The new one.
    pub state: Vec<u8>,
    /// Its MAC.
    pub state_mac: [u8; 32],
    /// A restraint that is placed.
    pub placed: Option<RestraintRow>,
    /// Those that are lifted: [`RestraintRow::placed`] of each.
    pub lifted: Vec<u64>,
}

/// A change of restraints by itself.
#[derive(Clone)]
pub struct ChangeRestraints {
    /// The change.
    pub change: StateChange,
    /// The request id, and what it stands for; none where a repeat is harmless.
    pub request: Option<(RequestClaim, u64)>,
    /// The leaf.
    pub leaf: LeafRow,
}

/// Changes of restraints.
pub trait RestraintStore {
    /// `vault.db`: state, what is said of it, request and leaf. The reserve is
    /// there for a placing.
    fn change_restraints(&self, change: ChangeRestraints) -> Pending<ConsentOutcome>;
}

/// Reads of restraints.
pub trait RestraintRows {
    /// `vault.db`: one restraint.
    fn restraint(&mut self, number: u64) -> Result<Option<RestraintRow>>;
    /// `vault.db`: all of a customer, in the order they were placed.
    fn restraints_of(&mut self, customer: CustomerNumber) -> Result<Vec<RestraintRow>>;
    /// `vault.db`: a tenant's holds by their day of review, after the one that
    /// `after` names (its day, its number), at most `most`.
    fn holds_of_tenant(
        &mut self,
        tenant: TenantNumber,
        after: Option<(Day, u64)>,
        most: usize,
    ) -> Result<Vec<RestraintRow>>;
    /// `vault.db`: customers with a restriction for that reason, by rising
    /// number after `after`, at most `most`.
    fn restricted_for(
        &mut self,
        cause: u32,
        after: CustomerNumber,
        most: usize,
    ) -> Result<Vec<CustomerNumber>>;
    /// `keys.db`: whether the ledger knows that a customer's restraint was
    /// lifted again.
    fn is_lifted(&mut self, customer: CustomerNumber, placed: u64) -> Result<bool>;
}
