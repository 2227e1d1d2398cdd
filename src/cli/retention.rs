//! `oubliette retention`: whether what is past its time is deleted in time.

use super::caller::Caller;
use super::stop::Done;
use super::value::date_text;
use crate::pb;
use clap::{Args, Subcommand};
use serde_json::json;

/// What can be asked of retention.
#[derive(Subcommand, Debug)]
pub enum Retention {
    /// Show when it was swept, how late, and what waits
    Status(Status),
}

/// Arguments of `retention status`.
#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    caller: Caller,
}

impl Retention {
    /// The client options.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::Status(status) => &status.caller,
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        match self {
            Self::Status(status) => status.run().await,
        }
    }
}

impl Status {
    async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let request = pb::GetRetentionStatusRequest {};
        let status = client.get_retention_status(request).await?;
        let day = status.sweep_date.as_ref().map(|day| date_text(Some(day)));
        let mut out = self.caller.out();
        out.document(&json!({
            "sweep_date": day,
            "looked": status.looked,
            "fields": status.fields,
            "late_days": status.late_days,
            "waiting": status.waiting,
        }));
        match day {
            Some(day) => out.line(&format!(
                "Last swept on {day}, at most {} days late. In all: {} records looked at, {} \
                 fields deleted.",
                status.late_days, status.looked, status.fields
            )),
            None => out.line("Nothing has come due yet."),
        }
        if status.waiting > 0 {
            out.line(&format!(
                "{} records are past their time and wait for a request or a hold to end.",
                status.waiting
            ));
        }
        Ok(())
    }
}
