//! `oubliette customer restrict` and `unrestrict`: GDPR art. 18.

use super::caller::Caller;
use super::customer::{document, full_name, shown};
use super::stop::{Done, Stop};
use super::value::timestamp;
use crate::pb;
use clap::Args;
use serde_json::json;

/// Arguments of `customer restrict`.
#[derive(Args, Debug)]
pub struct Restrict {
    /// The customer's id
    id: String,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    pub(super) caller: Caller,
}

/// Arguments of `customer unrestrict`.
#[derive(Args, Debug)]
pub struct Unrestrict {
    /// The customer's id
    id: String,
    /// When the person was told, such as 2026-11-23T15:04:05Z
    #[arg(long, value_name = "TIME")]
    told: String,
    #[command(flatten)]
    pub(super) caller: Caller,
}

/// When the person was told, as typed.
pub fn told(text: &str) -> Done<prost_types::Timestamp> {
    text.parse().map(timestamp).map_err(|_| {
        let rule = "--told must be an instant, written like 2026-11-23T15:04:05Z";
        Stop::Usage(rule.to_owned())
    })
}

impl Restrict {
    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        let request = pb::RestrictCustomerRequest {
            name: full_name(&self.id),
            reason: self.reason,
        };
        let client = self.caller.connect().await?;
        let customer = client.restrict_customer(request).await?.customer;
        let customer = customer.unwrap_or_default();
        let mut out = self.caller.out();
        out.document(&json!({ "customer": document(&customer) }));
        shown(&mut out, &customer);
        Ok(())
    }
}

impl Unrestrict {
    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        let request = pb::LiftRestrictionRequest {
            name: full_name(&self.id),
            person_told_time: Some(told(&self.told)?),
        };
        let client = self.caller.connect().await?;
        let customer = client.lift_restriction(request).await?.customer;
        let customer = customer.unwrap_or_default();
        let mut out = self.caller.out();
        out.document(&json!({ "customer": document(&customer) }));
        shown(&mut out, &customer);
        if customer.restricted {
            out.line(
                "It is still restricted: a request that is not ended, or an erasure that waits, \
                 keeps that up.",
            );
        }
        Ok(())
    }
}
