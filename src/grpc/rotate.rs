//! KeyService: generations of field keys, and approvals.

use super::call::Guarded;
use super::job;
use crate::access::RotateWhat;
use crate::error::{Error, Missing, Result, Violation};
use crate::id::CustomerId;
use crate::limits;
use crate::pb;
use crate::store::{ApprovalRow, ApprovalState};
use crate::vault::Vault;
use std::sync::Arc;

/// RotateKeys.
pub async fn rotate(
    vault: &Vault,
    guarded: &Guarded,
    asked: pb::RotateKeysRequest,
) -> Result<pb::RotateKeysResponse> {
    let what = what(guarded, &asked)?;
    let grant = Arc::new(guarded.rules.rotate(&guarded.principal, what)?);
    let row = vault.rotate(&guarded.call, &grant).await?;
    Ok(pb::RotateKeysResponse {
        job: Some(job::job(&row)),
    })
}

fn what(guarded: &Guarded, asked: &pb::RotateKeysRequest) -> Result<RotateWhat> {
    let given = (
        !asked.customer.is_empty(),
        !asked.record_type.is_empty(),
        asked.all,
    );
    match given {
        (true, false, false) => {
            let customer = CustomerId::parse_name("customer", &asked.customer)?;
            Ok(RotateWhat::Customer(customer))
        }
        (false, true, false) => {
            let found = guarded.rules.catalog().record_type(&asked.record_type);
            let rule = "must be a record type of the catalog";
            let none = || Error::invalid(Violation::new("record_type", rule));
            Ok(RotateWhat::Type(found.ok_or_else(none)?.number))
        }
        (false, false, true) => Ok(RotateWhat::All),
        _ => {
            let rule = "must be given, or `record_type`, or `all`: exactly one of the three";
            Err(Error::invalid(Violation::new("customer", rule)))
        }
    }
}

/// CompromiseKeys.
pub async fn compromise(
    vault: &Vault,
    guarded: &Guarded,
    asked: pb::CompromiseKeysRequest,
) -> Result<pb::CompromiseKeysResponse> {
    let customer = CustomerId::parse_name("customer", &asked.customer)?;
    if asked.reason.len() > limits::APPROVAL_REASON_BYTES {
        let rule = format!("must be at most {} bytes", limits::APPROVAL_REASON_BYTES);
        return Err(Error::invalid(Violation::new("reason", rule)));
    }
    let rules = &guarded.rules;
    let grant = rules.compromise(&guarded.principal, customer, asked.reason)?;
    let grant = Arc::new(grant);
    let row = vault.compromise(&guarded.call, &grant).await?;
    Ok(pb::CompromiseKeysResponse {
        job: Some(job::job(&row)),
    })
}

/// ListApprovals.
pub async fn approvals(vault: &Vault, guarded: &Guarded) -> Result<pb::ListApprovalsResponse> {
    let grant = guarded.rules.list_approvals(&guarded.principal)?;
    let rows = vault.list_approvals(&guarded.call, &grant).await?;
    Ok(pb::ListApprovalsResponse {
        approvals: rows.iter().map(approval).collect(),
    })
}

/// DecideApproval.
pub async fn decide(
    vault: &Vault,
    guarded: &Guarded,
    asked: pb::DecideApprovalRequest,
) -> Result<pb::DecideApprovalResponse> {
    let number = u64::try_from(asked.approval);
    let number = number.map_err(|_| Error::NotFound(Missing::Approval))?;
    let rules = &guarded.rules;
    let grant = rules.decide_approval(&guarded.principal, number, asked.approve)?;
    let row = vault.decide_approval(&guarded.call, &grant).await?;
    Ok(pb::DecideApprovalResponse {
        approval: Some(approval(&row)),
    })
}

fn approval(row: &ApprovalRow) -> pb::Approval {
    pb::Approval {
        approval: row.approval.cast_signed(),
        action: row.action.name().to_owned(),
        target: row.target.cast_signed(),
        requester: row.requester.clone(),
        reason: row.reason.clone(),
        state: match row.state {
            ApprovalState::Asked => pb::ApprovalState::Asked,
            ApprovalState::Approved => pb::ApprovalState::Approved,
            ApprovalState::Rejected => pb::ApprovalState::Rejected,
            ApprovalState::Used => pb::ApprovalState::Used,
        }
        .into(),
        decider: row.decider.clone(),
        expire_seconds: row.expires.seconds(),
    }
}
