//! Who may create, show and forget customers, and look at the keys.

use super::action::Action;
use super::grant::{
    CloseEpoch, Compromise, ControlJob, Create, CustomerEntries, DecideApproval, Decided, Entries,
    Erase, EraseMany, Events, GetStatus, Grant, HandleHold, HandleRequest, Keep, KeyStatus,
    ListApprovals, ListHolds, ListRequests, OpenRequest, PruneEntries, Restrain, Review, Rotate,
    RotateWhat, Seal, SealStatus, Show, ShowCertificate, Unseal, WatchJob,
};
use super::restraint::Scope;
use super::roles::Principal;
use super::snapshot::Snapshot;
use crate::error::{Error, Result, Violation};
use crate::id::{CertificateName, CustomerId, HoldNumber, RequestNumber};
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

    /// Decides whether people's requests are listed or watched, as `action`
    /// says.
    pub fn list_requests(
        &self,
        principal: &Arc<Principal>,
        action: Action,
    ) -> Result<Grant<ListRequests>> {
        let decided = self.vault_wide(principal, action)?;
        let target = ListRequests;
        Ok(Grant { decided, target })
    }

    /// Decides whether the processing of a customer's data is restricted, or
    /// that is lifted, as `action` says.
    pub fn restrain(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        customer: CustomerId,
    ) -> Result<Grant<Restrain>> {
        let decided = self.vault_wide(principal, action)?;
        let target = Restrain { customer };
        Ok(Grant { decided, target })
    }

    /// Decides whether something of a customer is held: everything, or the
    /// records of a type, or one field of them.
    pub fn place_hold(
        &self,
        principal: &Arc<Principal>,
        customer: CustomerId,
        record_type: &str,
        field: &str,
    ) -> Result<Grant<Keep>> {
        let decided = self.vault_wide(principal, Action::PlaceHold)?;
        let (scope, what) = self.scope(record_type, field)?;
        let target = Keep {
            customer,
            scope,
            what,
        };
        Ok(Grant { decided, target })
    }

    fn scope(&self, record_type: &str, field: &str) -> Result<(Scope, String)> {
        let wrong = |path: &'static str, rule: &str| Error::invalid(Violation::new(path, rule));
        match (record_type, field) {
            ("", "") => Ok((Scope::Customer, String::new())),
            ("", _) => Err(wrong("record_type", "must be given where a field is")),
            (_, "") => {
                let of = self.record_type(record_type)?;
                Ok((Scope::Type(of.number), of.name.to_string()))
            }
            (_, field) => {
                let of = self.record_type(record_type)?;
                let rule = "must be a field of the record type";
                let field = of.field(field).ok_or_else(|| wrong("field", rule))?;
                let what = format!("{}.{}", of.name, field.name);
                Ok((Scope::Field(of.number, field.number), what))
            }
        }
    }

    /// Decides whether a hold is released.
    pub fn release_hold(
        &self,
        principal: &Arc<Principal>,
        hold: HoldNumber,
    ) -> Result<Grant<HandleHold>> {
        let decided = self.vault_wide(principal, Action::ReleaseHold)?;
        let target = HandleHold { hold };
        Ok(Grant { decided, target })
    }

    /// Decides whether holds are listed: of one customer, or of all.
    pub fn list_holds(
        &self,
        principal: &Arc<Principal>,
        customer: Option<CustomerId>,
    ) -> Result<Grant<ListHolds>> {
        let decided = self.vault_wide(principal, Action::ListHolds)?;
        let target = ListHolds { customer };
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

    /// Decides whether a new generation of field keys begins.
    pub fn rotate(&self, principal: &Arc<Principal>, what: RotateWhat) -> Result<Grant<Rotate>> {
        let decided = self.vault_wide(principal, Action::RotateKeys)?;
        let target = Rotate { what };
        Ok(Grant { decided, target })
    }

    /// Decides whether a customer's keys are said to be compromised.
    pub fn compromise(
        &self,
        principal: &Arc<Principal>,
        customer: CustomerId,
        reason: String,
    ) -> Result<Grant<Compromise>> {
        let decided = self.vault_wide(principal, Action::CompromiseKeys)?;
        let target = Compromise { customer, reason };
        Ok(Grant { decided, target })
    }

    /// Decides whether requests for approval are shown.
    pub fn list_approvals(&self, principal: &Arc<Principal>) -> Result<Grant<ListApprovals>> {
        let decided = self.vault_wide(principal, Action::ListApprovals)?;
        let target = ListApprovals;
        Ok(Grant { decided, target })
    }

    /// Decides whether a principal may approve or reject at all; that nobody
    /// does so with their own request is the vault's rule, not the policy's.
    pub fn decide_approval(
        &self,
        principal: &Arc<Principal>,
        approval: u64,
        approve: bool,
    ) -> Result<Grant<DecideApproval>> {
        let decided = self.vault_wide(principal, Action::DecideApproval)?;
        let target = DecideApproval { approval, approve };
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

    /// Decides whether old entries of the audit log are pruned; that it takes a
    /// second principal is the vault's rule, not the policy's.
    pub fn prune_entries(
        &self,
        principal: &Arc<Principal>,
        target: PruneEntries,
    ) -> Result<Grant<PruneEntries>> {
        let decided = self.vault_wide(principal, Action::PruneEntries)?;
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
