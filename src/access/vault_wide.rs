//! Who may create, show and forget customers, and look at the keys.

use super::action::Action;
use super::grant::{
    CloseEpoch, ControlJob, Create, CustomerEntries, Decided, Entries, Erase, EraseMany, Events,
    GetStatus, Grant, HandleRequest, KeyStatus, ListRequests, OpenRequest, Review, Seal,
    SealStatus, Show, ShowCertificate, Unseal, WatchJob,
};
use super::roles::Principal;
use super::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::id::{CertificateName, CustomerId, RequestNumber};
use std::sync::Arc;

impl Snapshot {
    /// Decides the creation of a customer; with `recreate`, of one whose id was
    /// erased in the open epoch, which a second action guards.
    pub fn create(
        &self,
        principal: &Arc<Principal>,
        customer: CustomerId,
        recreate: bool,
    ) -> Result<Grant<Create>> {
        let mut decided = self.vault_wide(principal, Action::CreateCustomer)?;
        if recreate {
            let second = self.vault_wide(principal, Action::RecreateCustomer)?;
            let both = decided
                .policies
                .iter()
                .chain(second.policies.iter())
                .cloned();
            let both: std::collections::BTreeSet<_> = both.collect();
            decided.policies = both.into_iter().collect();
        }
        let target = Create { customer, recreate };
        Ok(Grant { decided, target })
    }

    /// Decides whether a customer's state is shown.
    pub fn show(&self, principal: &Arc<Principal>, customer: CustomerId) -> Result<Grant<Show>> {
        let decided = self.vault_wide(principal, Action::GetCustomer)?;
        let target = Show { customer };
        Ok(Grant { decided, target })
    }

    /// Decides whether a customer is forgotten. Also a restricted one can be:
    /// erasing shows and changes nothing of theirs.
    pub fn erase(&self, principal: &Arc<Principal>, customer: CustomerId) -> Result<Grant<Erase>> {
        let decided = self.vault_wide(principal, Action::EraseCustomer)?;
        let target = Erase { customer };
        Ok(Grant { decided, target })
    }

    /// Decides whether a list of customers may be forgotten at all.
    pub fn erase_many(&self, principal: &Arc<Principal>) -> Result<Grant<EraseMany>> {
        let decided = self.vault_wide(principal, Action::EraseCustomers)?;
        let target = EraseMany;
        Ok(Grant { decided, target })
    }

    /// Decides whether an erasure certificate is shown.
    pub fn show_certificate(
        &self,
        principal: &Arc<Principal>,
        certificate: CertificateName,
        customer: Option<CustomerId>,
    ) -> Result<Grant<ShowCertificate>> {
        let decided = self.vault_wide(principal, Action::GetCertificate)?;
        let target = ShowCertificate {
            certificate,
            customer,
        };
        Ok(Grant { decided, target })
    }

    /// Decides whether a person's request is opened.
    pub fn open_request(
        &self,
        principal: &Arc<Principal>,
        customer: CustomerId,
    ) -> Result<Grant<OpenRequest>> {
        let decided = self.vault_wide(principal, Action::OpenRequest)?;
        let target = OpenRequest { customer };
        Ok(Grant { decided, target })
    }

    /// Decides whether a person's request is handled or shown, as `action`
    /// says.
    pub fn handle_request(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        request: RequestNumber,
    ) -> Result<Grant<HandleRequest>> {
        let decided = self.vault_wide(principal, action)?;
        let target = HandleRequest { request };
        Ok(Grant { decided, target })
    }

    /// Decides whether people's requests are listed.
    pub fn list_requests(&self, principal: &Arc<Principal>) -> Result<Grant<ListRequests>> {
        let decided = self.vault_wide(principal, Action::ListRequests)?;
        let target = ListRequests;
        Ok(Grant { decided, target })
    }

    /// Decides whether the key tree is shown.
    pub fn key_status(&self, principal: &Arc<Principal>) -> Result<Grant<KeyStatus>> {
        let decided = self.vault_wide(principal, Action::GetKeyStatus)?;
        let target = KeyStatus;
        Ok(Grant { decided, target })
    }

    /// Decides whether a dry run of a closing is made: it opens samples and
    /// shows counts.
    pub fn plan_close(&self, principal: &Arc<Principal>) -> Result<Grant<CloseEpoch>> {
        let decided = self.vault_wide(principal, Action::PlanEpochClose)?;
        let target = CloseEpoch;
        Ok(Grant { decided, target })
    }

    /// Decides whether the active epoch is closed.
    pub fn close_epoch(&self, principal: &Arc<Principal>) -> Result<Grant<CloseEpoch>> {
        let decided = self.vault_wide(principal, Action::CloseEpoch)?;
        let target = CloseEpoch;
        Ok(Grant { decided, target })
    }

    /// Decides whether a job is paused, resumed or paced.
    pub fn control_job(&self, principal: &Arc<Principal>, job: u64) -> Result<Grant<ControlJob>> {
        let decided = self.vault_wide(principal, Action::ControlJob)?;
        let target = ControlJob { job };
        Ok(Grant { decided, target })
    }

    /// Decides whether a job is watched.
    pub fn watch_job(&self, principal: &Arc<Principal>, job: u64) -> Result<Grant<WatchJob>> {
        let decided = self.vault_wide(principal, Action::WatchJob)?;
        let target = WatchJob { job };
        Ok(Grant { decided, target })
    }

    /// Decides whether the vault is sealed.
    pub fn seal(&self, principal: &Arc<Principal>) -> Result<Grant<Seal>> {
        let decided = self.vault_wide(principal, Action::Seal)?;
        let target = Seal;
        Ok(Grant { decided, target })
    }

    /// Decides whether the vault is unsealed, or a piece of what that takes is
    /// given.
    pub fn unseal(&self, principal: &Arc<Principal>) -> Result<Grant<Unseal>> {
        let decided = self.vault_wide(principal, Action::Unseal)?;
        let target = Unseal;
        Ok(Grant { decided, target })
    }

    /// Decides whether it is shown that the vault is sealed.
    pub fn seal_status(&self, principal: &Arc<Principal>) -> Result<Grant<SealStatus>> {
        let decided = self.vault_wide(principal, Action::GetSealStatus)?;
        let target = SealStatus;
        Ok(Grant { decided, target })
    }

    /// Decides whether the audit log is looked at, by one of its actions.
    pub fn entries(&self, principal: &Arc<Principal>, action: Action) -> Result<Grant<Entries>> {
        let decided = self.vault_wide(principal, action)?;
        let target = Entries;
        Ok(Grant { decided, target })
    }

    /// Decides whether events are heard, acknowledged or listed, as `action`
    /// says. A service hears its own events only.
    pub fn events(&self, principal: &Arc<Principal>, action: Action) -> Result<Grant<Events>> {
        let decided = self.vault_wide(principal, action)?;
        let target = Events;
        Ok(Grant { decided, target })
    }

    /// Decides whether what is declared is held against what was done, or shown,
    /// as `action` says.
    pub fn review(&self, principal: &Arc<Principal>, action: Action) -> Result<Grant<Review>> {
        let decided = self.vault_wide(principal, action)?;
        let target = Review;
        Ok(Grant { decided, target })
    }

    /// Decides whether it is shown how what is past its time is deleted.
    pub fn retention_status(&self, principal: &Arc<Principal>) -> Result<Grant<GetStatus>> {
        let decided = self.vault_wide(principal, Action::GetRetentionStatus)?;
        let target = GetStatus;
        Ok(Grant { decided, target })
    }

    /// Decides whether the entries about a customer are shown. Also those about
    /// a restricted one are: the log is kept for such questions.
    pub fn customer_entries(
        &self,
        principal: &Arc<Principal>,
        customer: CustomerId,
    ) -> Result<Grant<CustomerEntries>> {
        let decided = self.vault_wide(principal, Action::ListCustomerEntries)?;
        let target = CustomerEntries { customer };
        Ok(Grant { decided, target })
    }

    pub(super) fn vault_wide(&self, principal: &Arc<Principal>, action: Action) -> Result<Decided> {
        let principal = self.current(principal)?;
        let policies = self.permitted(principal, action, None, None, &[]);
        let policies = policies.map_err(Error::Denied)?;
        Ok(self.decided(principal, action, None, policies))
    }
}
