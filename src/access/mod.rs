//! Who may do what: catalog, roles, policy and the customer's live state
//! become a [`Permit`]. Denied by default, unknown means denied, and a policy
//! that fails to evaluate denies too.
//!
//! [`Access`] holds the [`Snapshot`] in force and replaces it whole on a
//! reload. A snapshot decides a call and gives a [`Grant`]; the grant and the
//! customer's [`Facts`] give a permit.

mod action;
mod decisions;
mod explain;
mod export;
mod facts;
mod gate;
mod grant;
mod guard;
mod import;
mod policy;
mod read;
mod restraint;
mod roles;
mod say;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod vault_wide;
mod write;

pub use action::Action;
pub use explain::Explained;
pub use facts::Facts;
pub use gate::{Moment, denied_by, is_collected};
pub use grant::{
    Change, CloseEpoch, Compromise, ControlJob, Create, CustomerData, CustomerEntries,
    DecideApproval, Delete, Entries, Erase, EraseMany, Events, GetStatus, Grant, GrantedField,
    HandleHold, HandleRequest, Keep, KeyStatus, List, ListApprovals, ListHolds, ListRequests,
    OpenRequest, Permit, PruneEntries, Read, ReadTarget, Restrain, Review, Rotate, RotateWhat,
    Seal, SealStatus, Show, ShowCertificate, Unseal, WatchJob, Withheld, Write, WriteOrigin,
};
pub use import::{GPC, Heard, Import, ImportAsk, ShownNotice, SignalAsk, TcString, Untaken};
pub use read::{ReadAsk, ReadMode};
pub use restraint::{Cause, Restrained, Restraint, Scope};
pub use roles::{Principal, Quotas, Roles};
pub use say::{Answer, AnswerAsk, Look, Method, Say, Words};
pub use snapshot::Snapshot;
pub use state::{Standing, State, Status};
pub use write::WriteAsk;

use crate::catalog::{Catalog, read_text};
use crate::error::{Error, Result};
use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Where the rules are kept.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The catalog's directory.
    pub catalog: PathBuf,
    /// The roles file.
    pub roles: PathBuf,
    /// The policy file.
    pub policy: PathBuf,
}

/// The rules in force.
pub struct Access {
    sources: Sources,
    current: ArcSwap<Snapshot>,
    reloading: Mutex<()>,
}

impl Access {
    /// Loads and checks catalog, roles and policy, and that they fit each
    /// other. The error is an [`Error::Setup`] that names file and line.
    pub fn load(sources: Sources) -> Result<Self> {
        let first = sources.load(1)?;
        Ok(Self {
            sources,
            current: ArcSwap::from_pointee(first),
            reloading: Mutex::new(()),
        })
    }

    /// Loads everything again and puts it in force, whole or not at all: on an
    /// error the old rules stay. Blocks on files; not for an async thread.
    pub fn reload(&self) -> Result<()> {
        let _one_at_a_time = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let old = self.current.load_full();
        let next = self.sources.load(old.number().saturating_add(1))?;
        next.catalog().may_follow(old.catalog())?;
        self.current.store(Arc::new(next));
        Ok(())
    }

    /// The rules in force now: what a call takes when it begins.
    pub fn now(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}

impl Sources {
    fn load(&self, number: u64) -> Result<Snapshot> {
        let catalog = Catalog::load(&self.catalog)?;
        let roles = Roles::load(&self.roles)?;
        for purpose in catalog.purposes() {
            if let Some(role) = purpose
                .declared
                .callers
                .iter()
                .find(|r| !roles.has_role(r.as_str()))
            {
                return Err(Error::Setup(format!(
                    "purpose {}: callers: {role} is not a role that {} declares",
                    purpose.name,
                    self.roles.display()
                )));
            }
        }
        let text = read_text(&self.policy)?;
        let file = self.policy.display().to_string();
        let policies = policy::Policies::parse(&file, &text, &roles, &catalog)?;
        Ok(Snapshot::new(number, catalog, roles, policies))
    }
}
