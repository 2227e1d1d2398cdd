//! `oubliette key approval`.

use crate::cli::caller::Caller;
use crate::cli::stop::Done;
use crate::pb;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

/// What can be done with requests for approval.
#[derive(Subcommand, Debug)]
pub enum Approval {
    /// List what waits for a second person, and what was decided of late
    List(List),
    /// Approve what somebody else asked for
    Approve(Decide),
    /// Reject it
    Reject(Decide),
}

/// Arguments of `key approval list`.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `key approval approve` and `key approval reject`.
#[derive(Args, Debug)]
pub struct Decide {
    #[command(flatten)]
    caller: Caller,
    /// Which: its number
    approval: i64,
}

impl Approval {
    /// The client options.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::List(list) => &list.caller,
            Self::Approve(decide) | Self::Reject(decide) => &decide.caller,
        }
    }

    /// Lists or decides.
    pub async fn run(self) -> Done {
        let client = self.caller().connect().await?;
        let approvals = match &self {
            Self::List(_) => {
                let request = pb::ListApprovalsRequest {};
                client.list_approvals(request).await?.approvals
            }
            Self::Approve(decide) | Self::Reject(decide) => {
                let request = pb::DecideApprovalRequest {
                    approval: decide.approval,
                    approve: matches!(self, Self::Approve(_)),
                };
                let decided = client.decide_approval(request).await?.approval;
                decided.into_iter().collect()
            }
        };
        let mut out = self.caller().out();
        let documents: Vec<Json> = approvals.iter().map(document).collect();
        out.document(&json!({ "approvals": documents }));
        let rows: Vec<Vec<String>> = approvals.iter().map(row).collect();
        if rows.is_empty() {
            out.line("Nothing waits for approval.");
            return Ok(());
        }
        out.table(&HEADER, &rows);
        Ok(())
    }
}

const HEADER: [&str; 7] = [
    "approval",
    "of",
    "to",
    "asked by",
    "because",
    "state",
    "decided by",
];

fn state(approval: &pb::Approval) -> &'static str {
    match approval.state() {
        pb::ApprovalState::Unspecified => "",
        pb::ApprovalState::Asked => "asked",
        pb::ApprovalState::Approved => "approved",
        pb::ApprovalState::Rejected => "rejected",
        pb::ApprovalState::Used => "used",
    }
}

fn row(approval: &pb::Approval) -> Vec<String> {
    let requester = match approval.requester.as_str() {
        "" => "the vault",
        name => name,
    };
    vec![
        approval.approval.to_string(),
        approval.action.clone(),
        approval.target.to_string(),
        requester.to_owned(),
        approval.reason.clone(),
        state(approval).to_owned(),
        approval.decider.clone(),
    ]
}

fn document(approval: &pb::Approval) -> Json {
    json!({
        "approval": approval.approval,
        "action": approval.action,
        "target": approval.target,
        "requester": approval.requester,
        "reason": approval.reason,
        "state": state(approval),
        "decider": approval.decider,
        "expire_seconds": approval.expire_seconds,
    })
}
