//! `[rights]`: how people's requests are handled.

use crate::catalog::Section;
use crate::error::Result;
use crate::limits;
use crate::vault::rights::clock::Regime;

/// How people's requests are handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Whether somebody else must approve a request than who opened it, and
    /// release a hold than who placed it.
    pub four_eyes: bool,
    /// The laws whose clocks run where a request names none.
    pub regimes: Vec<Regime>,
    /// How many days an approved erasure can still be taken back.
    pub grace_days: u32,
    /// Whether an approved erasure goes on by itself when its grace is over; else
    /// somebody approves it once more.
    pub goes_on: bool,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            four_eyes: false,
            regimes: vec![Regime::Gdpr],
            grace_days: 0,
            goes_on: false,
        }
    }
}

impl Rights {
    pub(super) fn read(mut table: Section<'_>) -> Result<Self> {
        let mut rights = Self::default();
        if let Some(entry) = table.take("four_eyes") {
            rights.four_eyes = entry.flag()?;
        }
        if let Some(entry) = table.take("regimes") {
            let rule = "must be one or more of gdpr, ccpa, lgpd, pipl, with spaces between";
            rights.regimes = entry.parsed(rule, |text| {
                let named: Option<Vec<Regime>> = text.split(' ').map(Regime::named).collect();
                named.filter(|regimes| !regimes.is_empty())
            })?;
        }
        if let Some(entry) = table.take("grace_days") {
            let days = entry.number(0, limits::GRACE_DAYS.into())?;
            rights.grace_days = u32::try_from(days).unwrap_or(limits::GRACE_DAYS);
        }
        if let Some(entry) = table.take("after_grace") {
            let rule = "must be \"when-approved-again\" or \"by-itself\"";
            rights.goes_on = entry.parsed(rule, |text| match text {
                "by-itself" => Some(true),
                "when-approved-again" => Some(false),
                _ => None,
            })?;
        }
        table.finish()?;
        Ok(rights)
    }
}
