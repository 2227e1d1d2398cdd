//! Signals that come from elsewhere and count as said by the customer: a Global
//! Privacy Control and a consent string of the Transparency and Consent
//! Framework. The catalog says which purposes hear them (`catalog::Hears`). The
//! stricter choice wins: a no is always taken; a yes only where the string says
//! yes to all that the purpose does, it is told which notice the customer was
//! shown, and nothing stricter stands.

mod tcf;

pub use tcf::TcString;

use super::action::Action;
use super::grant::Grant;
use super::roles::Principal;
use super::say::{AnswerAsk, Method, Words, checked, shown};
use super::snapshot::Snapshot;
use super::state::Status;
use crate::catalog::{Hears, Mechanism, Purpose};
use crate::clock::{Day, Instant};
use crate::error::{Error, Result, Violation};
use crate::id::CustomerId;
use crate::limits;
use crate::secret::{SecretBytes, SecretText};
use std::sync::Arc;

/// A Global Privacy Control, as it is kept (W3C Global Privacy Control, 3.1).
pub const GPC: &str = "Sec-GPC: 1";

/// A signal, as somebody brings it.
pub struct ImportAsk {
    /// Which, and what it says.
    pub signal: SignalAsk,
    /// Where it came from.
    pub channel: String,
    /// What the customer was shown, purpose by purpose.
    pub notices: Vec<ShownNotice>,
}

/// What somebody brings.
pub enum SignalAsk {
    /// The value of the `Sec-GPC` header.
    Gpc(String),
    /// A consent string.
    Tcf(SecretText),
}

/// A notice that a consent platform showed.
pub struct ShownNotice {
    /// The purpose's name.
    pub purpose: String,
    /// The version.
    pub version: u32,
    /// In which language.
    pub language: String,
}

/// Putting on record what a signal says.
pub struct Import {
    /// Who says it.
    pub customer: CustomerId,
    /// The signal's kind: `gpc` or `tcf`.
    pub kind: &'static str,
    /// The signal as it came, kept in every event that it makes.
    pub raw: SecretText,
    /// When it was said.
    pub said: Instant,
    /// What it says of each purpose that hears it, by name.
    pub heard: Vec<(Arc<Purpose>, Heard)>,
    /// Where it came from.
    pub channel: String,
}

/// What a signal says of a purpose.
pub enum Heard {
    /// No; the words of it.
    No(Words),
    /// Yes; the words of it.
    Yes(Words),
    /// Nothing that is put on record.
    Nothing(Untaken),
}

/// Why nothing is put on record of a purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untaken {
    /// The signal says neither yes nor no: an opt-out purpose goes on.
    NotSaid,
    /// It says yes, and not which notice was shown.
    NoNotice,
    /// It says yes, and the purpose has double opt-in: only the customer's own
    /// GIVEN confirms.
    NeedsConfirmation,
    /// It says yes, and is too old to rely on.
    TooOld,
    /// The same stands already.
    Stands,
    /// It says yes, and something stricter stands: a GPC signal, or a no that is
    /// not older.
    StricterStands,
}

fn refused<T>(field: &str, rule: &str) -> Result<T> {
    Err(Error::invalid(Violation::new(field, rule)))
}

impl Snapshot {
    /// Decides whether what a signal says is put on record, and what it says of
    /// each purpose.
    pub fn import(
        &self,
        principal: &Arc<Principal>,
        customer: CustomerId,
        ask: ImportAsk,
        now: Instant,
    ) -> Result<Grant<Import>> {
        let decided = self.vault_wide(principal, Action::ImportSignal)?;
        let purposes = self.catalog().purposes();
        let live: Vec<_> = purposes
            .filter(|purpose| !purpose.scope.is_expired(now.day()))
            .filter(|purpose| purpose.scope.mechanism != Mechanism::NoticeOnly)
            .collect();
        let mut target = match ask.signal {
            SignalAsk::Gpc(value) if value != "1" => {
                return refused("gpc", "must be 1; any other value is no signal");
            }
            SignalAsk::Gpc(_) if !ask.notices.is_empty() => {
                return refused("notices", "must be empty: this signal never says yes");
            }
            SignalAsk::Gpc(_) => Import::new(customer, "gpc", SecretText::new(GPC.to_owned()), now),
            SignalAsk::Tcf(raw) => {
                let read = TcString::read(raw.expose(), now);
                let read = read.or_else(|rule| refused("tcf", rule))?;
                let mut target = Import::new(customer, "tcf", raw, read.updated);
                target.channel = ask.channel.clone();
                target.hear_tcf(&live, &read, &ask.notices, now)?;
                target
            }
        };
        target.channel = ask.channel;
        if target.kind == "gpc" {
            for purpose in live.iter().filter(|purpose| purpose.scope.hears.gpc) {
                let no = target.answer(purpose, Status::Refused, None, now)?;
                target.heard.push((Arc::clone(purpose), Heard::No(no)));
            }
        }
        if target.heard.is_empty() {
            return refused(
                target.kind,
                "must be heard by a purpose of the catalog: none has gpc = true or tcf = [...]",
            );
        }
        Ok(Grant { decided, target })
    }
}

impl Import {
    fn new(customer: CustomerId, kind: &'static str, raw: SecretText, said: Instant) -> Self {
        Self {
            customer,
            kind,
            raw,
            said,
            heard: Vec::new(),
            channel: String::new(),
        }
    }

    /// Whether it is a Global Privacy Control: it holds until the customer
    /// themselves says otherwise.
    pub fn is_gpc(&self) -> bool {
        self.kind == "gpc"
    }

    fn hear_tcf(
        &mut self,
        purposes: &[&Arc<Purpose>],
        read: &TcString,
        notices: &[ShownNotice],
        now: Instant,
    ) -> Result<()> {
        let hearing = |purpose: &&&Arc<Purpose>| !purpose.scope.hears.tcf.is_empty();
        let hearing: Vec<_> = purposes.iter().filter(hearing).collect();
        for (at, notice) in notices.iter().enumerate() {
            let of = |purpose: &&&&Arc<Purpose>| purpose.name.as_str() == notice.purpose;
            let Some(purpose) = hearing.iter().find(of) else {
                return refused("notices", "must be of purposes that hear the signal");
            };
            let mut before = notices.iter().take(at);
            if notice.version == 0 || before.any(|other| other.purpose == notice.purpose) {
                return refused("notices", "must name one published version a purpose");
            }
            shown(purpose, notice.version, &notice.language)?;
        }
        for purpose in hearing {
            let notice = notices.iter().find(|n| n.purpose == purpose.name.as_str());
            let heard = self.of_tcf(purpose, read, notice, now)?;
            self.heard.push((Arc::clone(purpose), heard));
        }
        Ok(())
    }

    fn of_tcf(
        &self,
        purpose: &Purpose,
        read: &TcString,
        notice: Option<&ShownNotice>,
        now: Instant,
    ) -> Result<Heard> {
        let Hears {
            tcf, tcf_vendor, ..
        } = &purpose.scope.hears;
        let asks = purpose.scope.mechanism == Mechanism::OptIn;
        let says = |number: &u8| match asks {
            true => read.consents(*number, *tcf_vendor),
            false => read.lets(*number, *tcf_vendor),
        };
        if !tcf.iter().all(says) {
            let no = self.answer(purpose, Status::Refused, None, now)?;
            return Ok(Heard::No(no));
        }
        // That it may rest on a legitimate interest is no consent.
        Ok(if !asks {
            Heard::Nothing(Untaken::NotSaid)
        } else if until(read.updated) <= now.day() {
            Heard::Nothing(Untaken::TooOld)
        } else if purpose.scope.confirm {
            Heard::Nothing(Untaken::NeedsConfirmation)
        } else if let Some(notice) = notice {
            Heard::Yes(self.answer(purpose, Status::Given, Some(notice), now)?)
        } else {
            Heard::Nothing(Untaken::NoNotice)
        })
    }

    /// The answer that the signal is, of one purpose.
    fn answer(
        &self,
        purpose: &Purpose,
        status: Status,
        notice: Option<&ShownNotice>,
        now: Instant,
    ) -> Result<Words> {
        let language = notice.map_or_else(String::new, |notice| notice.language.clone());
        let ask = AnswerAsk {
            status,
            explicit: false,
            notice: notice.map_or(0, |notice| notice.version),
            language,
            method: Method::Signal,
            channel: self.channel.clone(),
            actor: String::new(),
            evidence: SecretBytes::new(self.raw.expose().as_bytes().to_vec()),
            expires: (status == Status::Given).then(|| until(self.said)),
            said: self.said,
        };
        checked(purpose, ask, now).map(Words::Answer)
    }
}

/// The first day on which a consent string counts no longer: consent is asked
/// for anew after thirteen months of thirty days, as its cookie ends.
fn until(updated: Instant) -> Day {
    let days = i32::try_from(limits::TCF_DAYS).unwrap_or(i32::MAX);
    Day(updated.day().0.saturating_add(days))
}
