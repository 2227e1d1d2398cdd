//! Two people: what the configuration names is done only when a second
//! principal has approved it. Whoever is about to do it consumes the approval;
//! where there is none yet, that asks for it, and the refusal says what to type
//! next. Nobody approves what they asked for.

use super::Vault;
use crate::access::{DecideApproval, Grant, ListApprovals};
use crate::audit::{Call, Fact, Verdict};
use crate::clock::Instant;
use crate::error::{Approval, Error, Missing, Result};
use crate::limits;
use crate::store::{
    ApprovalAction, ApprovalRow, ApprovalState, Asked, Decision, JobKind, JobRow, JobState,
    NewApproval,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Why a job waits: nobody has approved.
pub(super) const NEEDED: &str = "APPROVAL_NEEDED";
/// Why a job is paused: somebody rejected.
const REJECTED: &str = "APPROVAL_REJECTED";

/// What takes two people.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TwoPeople {
    /// What must be approved by a second principal.
    pub actions: BTreeSet<ApprovalAction>,
    /// How long a request can be decided, and an approval holds.
    pub time: Duration,
}

/// Proof that something may be done: it was approved, or takes nobody's
/// approval. Made by [`Approvals::consume`] alone, for one action.
#[must_use = "what was approved is done once"]
#[derive(Debug)]
pub struct Approved(Option<ApprovalRow>);

impl Approved {
    /// Who approved, for the audit entry; empty: it takes nobody's approval.
    pub fn approver(&self) -> &str {
        self.0.as_ref().map_or("", |row| &row.decider)
    }
}

/// The room of approvals.
pub struct Approvals<'a>(&'a Vault);

impl Vault {
    /// From here on these take two people. Once; for start-up.
    pub fn demand_approvals(&self, demanded: TwoPeople) {
        // Only start-up calls this, and it does so once.
        let _ = self.0.two_people.set(demanded);
    }

    /// The room of approvals.
    pub fn approvals(&self) -> Approvals<'_> {
        Approvals(self)
    }
}

impl Approvals<'_> {
    /// Uses up the approval of what `by` is about to do. Where the action takes
    /// one and nobody has approved it yet, this asks for it: APPROVAL_NEEDED,
    /// which names the request; the same call works once a second principal has
    /// approved. APPROVAL_REJECTED until the rejected request is past its time.
    /// `by` is empty for the vault itself; `reason` is no personal data.
    pub async fn consume(
        &self,
        action: ApprovalAction,
        target: u64,
        by: &str,
        reason: &str,
    ) -> Result<Approved> {
        let demanded = self.0.0.two_people.get();
        let Some(demanded) = demanded.filter(|of| of.actions.contains(&action)) else {
            return Ok(Approved(None));
        };
        self.take(demanded.time, action, target, by, reason).await
    }

    /// The same for what takes a second principal whatever is configured.
    pub async fn demand(
        &self,
        action: ApprovalAction,
        target: u64,
        by: &str,
        reason: &str,
    ) -> Result<Approved> {
        let configured = self.0.0.two_people.get().map(|of| of.time);
        let time = configured.filter(|time| !time.is_zero());
        let time = time.unwrap_or(limits::APPROVAL_TIME);
        self.take(time, action, target, by, reason).await
    }

    async fn take(
        &self,
        time: Duration,
        action: ApprovalAction,
        target: u64,
        by: &str,
        reason: &str,
    ) -> Result<Approved> {
        let now = Instant::now();
        let time = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let asked = self.0.0.store.use_or_ask(NewApproval {
            action,
            target,
            requester: by.to_owned(),
            reason: reason.to_owned(),
            now,
            expires: Instant::from_micros(now.micros().saturating_add(time)),
        });
        match asked.in_time().await? {
            Asked::Used(row) => Ok(Approved(Some(row))),
            Asked::Waits(approval) => Err(Error::Approval(Approval::Needed(approval))),
            Asked::Rejected(approval) => Err(Error::Approval(Approval::Rejected(approval))),
        }
    }
}

impl Vault {
    /// The newest requests for approval.
    pub async fn list_approvals(
        &self,
        call: &Call,
        grant: &Grant<ListApprovals>,
    ) -> Result<Vec<ApprovalRow>> {
        let rows = self.on_rows(|rows, _| rows.approvals(limits::APPROVALS_SHOWN));
        let rows = rows.await?;
        let leaf = self.leaf(grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, rows).await?.release())
    }

    /// Approves or rejects, as somebody else than who asked; what waited for
    /// it goes on. Both names are in the leaf.
    pub async fn decide_approval(
        &self,
        call: &Call,
        grant: &Grant<DecideApproval>,
    ) -> Result<ApprovalRow> {
        let DecideApproval { approval, approve } = *grant.target();
        let find = || self.on_rows(move |rows, _| rows.approval(approval));
        let before = find().await?.ok_or(Error::NotFound(Missing::Approval))?;
        let decider = grant.principal().name().to_string();
        if before.requester == decider {
            return Err(Error::SamePerson);
        }
        let decision = Decision {
            approval,
            approve,
            decider,
            now: call.time,
        };
        if !self.0.store.decide_approval(decision).in_time().await? {
            return Err(Error::NotFound(Missing::Approval));
        }
        let row = find().await?.ok_or(Error::NotFound(Missing::Approval))?;
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.fact = Some(Fact::ApprovalDecided {
            approval,
            action: row.action.name(),
            target: row.target,
            approved: approve,
            requester: row.requester.clone(),
            decider: row.decider.clone(),
        });
        // The decision stands; should its leaf not be written the call fails,
        // and what waited is woken at the next start.
        self.record_plain(call, &leaf, ()).await?;
        self.wake_after(&row).await?;
        Ok(row)
    }

    async fn wake_after(&self, row: &ApprovalRow) -> Result<()> {
        if row.action != ApprovalAction::DestroyEpoch {
            return Ok(());
        }
        for job in self.open_jobs().await? {
            let is_its = job.kind == JobKind::CloseEpoch && job.target == row.target;
            if !is_its || job.state != JobState::Waiting || job.reason != NEEDED {
                continue;
            }
            let (state, reason) = match row.state {
                ApprovalState::Approved => (JobState::Running, ""),
                _ => (JobState::Paused, REJECTED),
            };
            let set = self.0.store.set_job(job.job, state, reason);
            set.in_time().await?;
            if state == JobState::Running {
                self.run_job(job.job);
            }
        }
        Ok(())
    }
}

impl Vault {
    /// The approval that an epoch's destruction used. An epoch is destroyed
    /// once, so that it holds also when a crash came in between.
    pub(super) async fn destruction_approved(&self, epoch: u32) -> Result<Option<ApprovalRow>> {
        let action = ApprovalAction::DestroyEpoch;
        self.on_rows(move |rows, _| rows.used_approval(action, u64::from(epoch)))
            .await
    }

    /// Whether an epoch's keys may be destroyed. Where that takes a second
    /// principal its job waits, and is woken by the decision.
    pub(super) async fn may_destroy(&self, job: &JobRow, epoch: u32) -> Result<bool> {
        if self.destruction_approved(epoch).await?.is_some() {
            return Ok(true);
        }
        let reason = format!("epoch {epoch} is ready to be destroyed");
        let (action, target) = (ApprovalAction::DestroyEpoch, u64::from(epoch));
        let room = self.approvals();
        let (state, why) = match room.consume(action, target, &job.requester, &reason).await {
            Ok(_) => return Ok(true),
            Err(Error::Approval(Approval::Needed(_))) => (JobState::Waiting, NEEDED),
            Err(Error::Approval(Approval::Rejected(_))) => (JobState::Paused, REJECTED),
            Err(error) => return Err(error),
        };
        let set = self.0.store.set_job(job.job, state, why);
        set.in_time().await.map(|_| false)
    }

    /// Whether a job waits for a second principal in vain: what it asked for is
    /// past its time, or was decided while it was not looked.
    pub(super) async fn waits_in_vain(&self, job: &JobRow, now: Instant) -> Result<bool> {
        if job.state != JobState::Waiting || job.reason != NEEDED {
            return Ok(false);
        }
        let rows = self.on_rows(|rows, _| rows.approvals(limits::APPROVALS_SHOWN));
        let mut rows = rows.await?.into_iter();
        let target = job.target;
        Ok(!rows.any(|row| {
            row.action == ApprovalAction::DestroyEpoch
                && row.target == target
                && row.state == ApprovalState::Asked
                && row.expires > now
        }))
    }
}
