//! Which signals a purpose hears: a Global Privacy Control, and a consent string
//! of the IAB Transparency and Consent Framework. What customers set in their
//! browser or said to a consent platform then counts as said to the vault.
//!
//! ```toml
//! gpc = true          # `Sec-GPC: 1` is a no to it
//! tcf = [2, 7]        # it does what these purposes of the framework name
//! tcf_vendor = 755    # and this vendor does it; without it: the operator
//! ```

use super::file::Section;
use super::scope::{Mechanism, flag};
use crate::error::Result;
use crate::limits;
use std::collections::BTreeSet;

/// Purposes of the framework for which no vendor may rest on a legitimate
/// interest (TCF Policies 4.0 on: 1 and 3 to 6). Their bits are always 0, so that
/// every string would object.
const CONSENT_ONLY: [u8; 5] = [1, 3, 4, 5, 6];

/// The signals that a purpose hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hears {
    /// Whether a Global Privacy Control signal is a no to it.
    pub gpc: bool,
    /// What it does, in the numbers of the framework's purposes; none: no
    /// consent string is about it.
    pub tcf: BTreeSet<u8>,
    /// Who does it, in the numbers of the Global Vendor List; none: the operator,
    /// as the publisher.
    pub tcf_vendor: Option<u16>,
}

impl Hears {
    /// What counts where one is declared and the other was told: whatever is
    /// heard of either, and every condition of both.
    pub(super) fn within(&self, told: &Self) -> Self {
        Self {
            gpc: self.gpc || told.gpc,
            tcf: self.tcf.union(&told.tcf).copied().collect(),
            tcf_vendor: told.tcf_vendor.or(self.tcf_vendor),
        }
    }

    /// Reads the keys out of a scope's table.
    pub(super) fn read(table: &mut Section<'_>, mechanism: Mechanism) -> Result<Self> {
        const NO_SAY: &str = "is for purposes that customers have a say in (opt_in or opt_out)";
        let has_say = mechanism != Mechanism::NoticeOnly;
        let gpc = flag(table, "gpc", false, |_| (!has_say).then_some(NO_SAY))?;
        let mut tcf = BTreeSet::new();
        if let Some(entry) = table.take("tcf") {
            if !has_say {
                return Err(entry.wrong(NO_SAY));
            }
            for number in entry.numbers(1, limits::TCF_PURPOSES.into())? {
                tcf.insert(u8::try_from(number).unwrap_or(u8::MAX));
            }
            let objects = CONSENT_ONLY.iter().any(|purpose| tcf.contains(purpose));
            if mechanism == Mechanism::OptOut && objects {
                return Err(entry.wrong(
                    "must not name 1, 3, 4, 5 or 6 where the mechanism is opt_out: the framework \
                     allows no legitimate interest for them",
                ));
            }
        }
        let vendor = match table.take("tcf_vendor") {
            None => None,
            Some(entry) if tcf.is_empty() => return Err(entry.wrong("needs tcf beside it")),
            Some(entry) => u16::try_from(entry.number(1, u16::MAX.into())?).ok(),
        };
        Ok(Self {
            gpc,
            tcf,
            tcf_vendor: vendor,
        })
    }
}
