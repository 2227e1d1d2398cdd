//! Two people for what cannot be undone: somebody asks, somebody else approves
//! or rejects, within a time; what was approved is done once. Principals' names
//! are the operator's words.

use super::Pending;
use crate::clock::Instant;
use crate::error::Result;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ApprovalAction {
    /// Destroying the keys of an epoch: the target is its number.
    DestroyEpoch = 1,
    /// Saying that a customer's keys are compromised: the target is their
    /// number.
    Compromise = 2,
    /// Putting other key providers in the place of those there are.
    ChangeProviders = 3,
    /// Lifting a hold.
    LiftHold = 4,
    /// Removing old entries of the audit log.
    PruneLog = 5,
}

impl ApprovalAction {
    /// Every action.
    pub const ALL: [Self; 5] = [
        Self::DestroyEpoch,
        Self::Compromise,
        Self::ChangeProviders,
        Self::LiftHold,
        Self::PruneLog,
    ];

    /// Its name in the configuration, in leaves and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::DestroyEpoch => "destroy-epoch",
            Self::Compromise => "compromise",
            Self::ChangeProviders => "change-providers",
            Self::LiftHold => "lift-hold",
            Self::PruneLog => "prune-log",
        }
    }
}

/// Where a request for approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalState {
    /// Nobody has decided.
    Asked = 1,
    /// A second principal approved.
    Approved = 2,
    /// A second principal rejected.
    Rejected = 3,
    /// It was approved and is done: it holds no more.
    Used = 4,
}

/// A new request for approval.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// Of what.
    pub action: ApprovalAction,
    /// To what.
    pub target: u64,
    /// Who asks; empty: the vault itself.
    pub requester: String,
    /// Why.
    pub reason: String,
    /// When.
    pub now: Instant,
    /// Until when it can be decided, and holds.
    pub expires: Instant,
}

/// A request for approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRow {
    /// Its number, from 1.
    pub approval: u64,
    /// Of what.
    pub action: ApprovalAction,
    /// To what.
    pub target: u64,
    /// Who asked; empty: the vault itself.
    pub requester: String,
    /// Why.
    pub reason: String,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who decided; empty: nobody.
    pub decider: String,
    /// Until when it can be decided, and holds.
    pub expires: Instant,
}

/// A decision.
#[derive(Clone, Debug)]
pub struct Decision {
    /// On which request.
    pub approval: u64,
    /// Whether it is approved.
    pub approve: bool,
    /// Who decides.
    pub decider: String,
    /// When.
    pub now: Instant,
}

/// What a principal's request came to, for whoever is about to act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nobody has decided yet: its number.
    Waits(u64),
    /// Rejected, and not yet past its time: its number.
    Rejected(u64),
    /// It was approved, and is used up by this.
    Used(ApprovalRow),
}

/// Changes to approvals, in `keys.db`.
pub trait ApprovalStore {
    /// Uses up what was approved of this action, target and requester; asks
    /// where nobody has, or what there was is used or past its time.
    fn use_or_ask(&self, new: NewApproval) -> Pending<Asked>;
    /// Decides. False where there is none to decide, it is past its time, it
    /// is decided, or the decider is who asked: nobody approves their own.
    fn decide_approval(&self, decision: Decision) -> Pending<bool>;
}

/// Looks at approvals.
pub trait ApprovalRows {
    /// `keys.db`: one request.
    fn approval(&mut self, approval: u64) -> Result<Option<ApprovalRow>>;
    /// `keys.db`: the newest requests, newest first.
    fn approvals(&mut self, most: usize) -> Result<Vec<ApprovalRow>>;
    /// `keys.db`: the newest request for this that was used.
    fn used_approval(&mut self, action: ApprovalAction, target: u64)
    -> Result<Option<ApprovalRow>>;
}
