//! `[epochs]` and `[approvals]`: what happens to keys, and when.

use crate::catalog::Section;
use crate::error::Result;
use crate::limits;
use crate::store::ApprovalAction;
use crate::vault::TwoPeople;
use std::time::Duration;

/// When epochs are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Epochs {
    /// When somebody asks for it.
    #[default]
    OnDemand,
    /// By itself once a day, in this hour (0 to 23, UTC); also when asked.
    Daily(u32),
}

pub(super) fn epochs(mut table: Section<'_>) -> Result<Epochs> {
    let close =
        table
            .need("close")?
            .parsed("must be \"daily\" or \"on-demand\"", |text| match text {
                "daily" => Some(true),
                "on-demand" => Some(false),
                _ => None,
            })?;
    let rule = "must be an hour of the day in quotes, \"0\" to \"23\", UTC";
    let hour = match table.take("hour") {
        Some(hour) => hour.parsed(rule, |text| text.parse().ok().filter(|hour| *hour < 24))?,
        None => 3,
    };
    table.finish()?;
    Ok(if close {
        Epochs::Daily(hour)
    } else {
        Epochs::OnDemand
    })
}

pub(super) fn approvals(mut table: Section<'_>) -> Result<TwoPeople> {
    let rule = "must be some of destroy-epoch, compromise, change-providers, lift-hold, \
                prune-log, with spaces between";
    let actions = table.need("demand")?.parsed(rule, |text| {
        text.split(' ').map(action_named).collect::<Option<_>>()
    })?;
    let rule = "must be a time such as \"24h\", up to \"30days\"";
    let time = match table.take("time") {
        Some(time) => time.parsed(rule, |text| {
            let time: Duration = humantime::parse_duration(text).ok()?;
            (!time.is_zero() && time <= limits::APPROVAL_TIME_MAX).then_some(time)
        })?,
        None => limits::APPROVAL_TIME,
    };
    table.finish()?;
    Ok(TwoPeople { actions, time })
}

fn action_named(name: &str) -> Option<ApprovalAction> {
    let mut all = ApprovalAction::ALL.into_iter();
    all.find(|action| action.name() == name)
}
