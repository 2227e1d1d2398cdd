//! `[signals]`: when something is wrong with what a principal does.

use crate::audit::signals::{Kind, Limits};
use crate::catalog::Section;
use crate::error::Result;
use crate::id::{CustomerId, TenantName};
use crate::limits;
use std::fmt;

/// What signals look for; nothing where the table is left out.
#[derive(Clone)]
pub struct Signals {
    /// When something is wrong.
    pub limits: Limits,
    /// Planted customers, whom nobody should ever read.
    pub decoys: Vec<(TenantName, String)>,
}

/// Without the decoys, which nobody should know.
impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limits.fmt(f)
    }
}

/// Decoys are told by their ids, as callers name customers.
fn decoy(text: &str) -> Option<(TenantName, String)> {
    let (tenant, id) = text.split_once('/')?;
    CustomerId::parse("decoys", id).ok()?;
    Some((TenantName::parse(tenant)?, id.to_owned()))
}

pub(super) fn signals(mut table: Section<'_>) -> Result<Signals> {
    let most = u64::from(u32::MAX);
    let mut number = |key: &str, usual: u64| match table.take(key) {
        Some(entry) => entry.number(1, most),
        None => Ok(usual),
    };
    let mut limits = Limits {
        customers_times: number("customers_times", 5)?,
        customers_least: number("customers_least", 1_000)?,
        denials_a_minute: number("denials_a_minute", 100)?,
        missed_a_minute: number("missed_a_minute", 100)?,
        new_fields: true,
        quiet: None,
        block: Vec::new(),
    };
    if let Some(entry) = table.take("new_fields") {
        limits.new_fields = entry.flag()?;
    }
    if let Some(entry) = table.take("quiet") {
        let rule = "must be two hours of the day, UTC, such as \"22-5\"";
        let hours = entry.parsed(rule, |text| {
            let (from, to) = text.split_once('-')?;
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            (from < 24 && to < 24 && from != to).then_some((from, to))
        })?;
        limits.quiet = Some(hours);
    }
    if let Some(entry) = table.take("block") {
        let rule = "must be one of many_customers, new_field, denials, sweep, off_hours, decoy";
        limits.block = entry.list(rule, Kind::named)?;
    }
    let mut decoys = Vec::new();
    if let Some(entry) = table.take("decoys") {
        decoys = entry.list("must look like \"tenant/customer-id\"", decoy)?;
        if decoys.len() > limits::DECOYS {
            return Err(entry.wrong("names too many; a few are enough"));
        }
    }
    table.finish()?;
    Ok(Signals { limits, decoys })
}
