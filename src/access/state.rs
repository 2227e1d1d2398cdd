//! A customer's live state as it is stored: whether their data is restricted or
//! held, and what stands of every purpose. It is stored in the clear, so that a
//! reader needs no key to see it, and bound to the customer by a MAC under a
//! key that dies with them.

use super::restraint::{Cause, Restrained, Restraint, Scope};
use crate::clock::Day;
use crate::crypto::mac::{self, MacKey};
use crate::error::{Error, Result};
use crate::id::{CustomerNumber, FieldNumber};
use crate::limits;

/// First byte of a stored state without restraints.
const VERSION: u8 = 2;
/// First byte of a stored state that ends with restraints.
const RESTRAINED: u8 = 3;
/// Bit 0 of the flags of an old state: processing is restricted.
const RESTRICTED: u32 = 1;
/// Bit 1 of the flags of an old state: all of the data is held.
const HELD: u32 = 2;
/// Bytes before the first standing.
const HEAD_BYTES: usize = 1 + 4 + 8 + 4 + 4 + 32 + 2;
/// Bytes of a standing.
const STANDING_BYTES: usize = 2 + 1 + 1 + 4 + 4;
/// Bytes of a restraint.
const RESTRAINT_BYTES: usize = 8 + 1 + 4;

/// What is stored of a customer's say over their data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// 1 for a new customer, one more with every change.
    pub revision: u64,
    /// The unproven restore that it was last confirmed after: what an older one
    /// says of consent is not relied on.
    pub lineage: u32,
    /// How many consent events there are.
    pub events: u32,
    /// SHA-256 of the newest event as it is stored; zeros where there is none.
    pub head: [u8; 32],
    standings: Vec<Standing>,
    restraints: Vec<Restraint>,
}

/// What stands of one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The purpose's number.
    pub purpose: u16,
    /// Whether it is about special categories (GDPR art. 9(2)(a)): a consent
    /// apart from the basis of the rest.
    pub special: bool,
    /// What was said.
    pub status: Status,
    /// The first day on which it no longer counts, UTC.
    pub expires: Option<Day>,
    /// The version of the notice that it was said to; 0: to none.
    pub notice: u32,
}

/// What was said of a purpose: the words of the W3C Data Privacy Vocabulary
/// (consent status), and two of ours. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Nothing is known.
    Unknown = 0,
    /// The customer was asked and has not answered, or not confirmed.
    Requested = 1,
    /// The customer said no when asked.
    Refused = 2,
    /// The customer said yes.
    Given = 3,
    /// The customer said yes again.
    Renewed = 4,
    /// The customer took their yes back.
    Withdrawn = 5,
    /// The yes is past its time.
    Expired = 6,
    /// Somebody else than the customer ended it: a contract ended, a consent
    /// was revoked.
    Revoked = 7,
    /// The yes no longer fits what is done.
    Invalidated = 8,
    /// The customer objected (GDPR art. 21).
    Objected = 9,
    /// A contract, an obligation or a task is in force.
    Asserted = 10,
}

impl Status {
    /// Every status, by number.
    pub const ALL: [Self; 11] = [
        Self::Unknown,
        Self::Requested,
        Self::Refused,
        Self::Given,
        Self::Renewed,
        Self::Withdrawn,
        Self::Expired,
        Self::Revoked,
        Self::Invalidated,
        Self::Objected,
        Self::Asserted,
    ];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Requested => "requested",
            Self::Refused => "refused",
            Self::Given => "given",
            Self::Renewed => "renewed",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Invalidated => "invalidated",
            Self::Objected => "objected",
            Self::Asserted => "asserted",
        }
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether the customer said yes.
    pub fn is_yes(self) -> bool {
        matches!(self, Self::Given | Self::Renewed)
    }

    /// Whether it ends a basis, or never was one.
    fn keeps_from_use(self) -> bool {
        let is_over = matches!(self, Self::Expired | Self::Revoked | Self::Invalidated);
        self.is_no() || is_over
    }

    /// Whether the customer said no.
    pub fn is_no(self) -> bool {
        matches!(self, Self::Refused | Self::Withdrawn | Self::Objected)
    }
}

impl Standing {
    /// Nothing is known of a purpose.
    pub fn unknown(purpose: u16, special: bool) -> Self {
        Self {
            purpose,
            special,
            status: Status::Unknown,
            expires: None,
            notice: 0,
        }
    }

    /// Whether it is past its time.
    pub fn is_over(&self, today: Day) -> bool {
        self.expires.is_some_and(|expires| today >= expires)
    }
}

impl State {
    /// The state of a new customer.
    pub fn active() -> Self {
        Self {
            revision: 1,
            lineage: 0,
            events: 0,
            head: [0; 32],
            standings: Vec::new(),
            restraints: Vec::new(),
        }
    }

    /// What keeps the data from ordinary use, oldest first.
    pub fn restraints(&self) -> &[Restraint] {
        &self.restraints
    }

    /// Whether processing is restricted (GDPR art. 18).
    pub fn is_restricted(&self) -> bool {
        let mut all = self.restraints.iter();
        all.any(|one| matches!(one.what, Restrained::Restricted(_)))
    }

    /// Whether it is restricted for that reason.
    pub fn is_restricted_for(&self, cause: Cause) -> bool {
        let mut all = self.restraints.iter();
        all.any(|one| one.what == Restrained::Restricted(cause))
    }

    /// What is held: neither changed nor, but for the purposes that are exempt,
    /// read.
    pub fn holds(&self) -> impl Iterator<Item = Scope> {
        self.restraints.iter().filter_map(|one| match one.what {
            Restrained::Held(scope) => Some(scope),
            Restrained::Restricted(_) => None,
        })
    }

    /// Whether all of it is held.
    pub fn is_held(&self) -> bool {
        self.holds().any(|scope| scope == Scope::Customer)
    }

    /// Whether a hold is about this field.
    pub fn holds_field(&self, record_type: u16, field: FieldNumber) -> bool {
        self.holds().any(|scope| scope.covers(record_type, field))
    }

    /// Whether a hold is about something of this record type.
    pub fn holds_of_type(&self, record_type: u16) -> bool {
        self.holds().any(|scope| match scope {
            Scope::Customer => true,
            Scope::Type(of) | Scope::Field(of, _) => of == record_type,
        })
    }

    /// From the next revision on the data is restrained. Answers the restraint;
    /// refused where there would be too many.
    pub fn restrain(&mut self, what: Restrained) -> Result<Restraint> {
        if self.restraints.len() >= limits::RESTRAINTS {
            return Err(Error::TooMuch("restrictions and holds of one customer"));
        }
        let placed = self.revision;
        let restraint = Restraint { placed, what };
        self.restraints.push(restraint);
        Ok(restraint)
    }

    /// A restraint ends; false where there is none of that number.
    pub fn lift(&mut self, placed: u64) -> bool {
        let before = self.restraints.len();
        self.restraints.retain(|one| one.placed != placed);
        self.restraints.len() < before
    }

    /// What stands of a purpose.
    pub fn standing(&self, purpose: u16, special: bool) -> Standing {
        match self.find(purpose, special) {
            Ok(at) => self.standings.get(at).copied(),
            Err(_) => None,
        }
        .unwrap_or_else(|| Standing::unknown(purpose, special))
    }

    /// All that is known, by purpose.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// Puts what stands of a purpose in the place of what stood. Refused where
    /// there would be too many.
    pub fn set(&mut self, standing: Standing) -> Result<()> {
        match self.find(standing.purpose, standing.special) {
            Ok(at) => {
                if let Some(slot) = self.standings.get_mut(at) {
                    *slot = standing;
                }
            }
            Err(_) if self.standings.len() >= limits::STANDINGS => {
                return Err(Error::TooMuch("purposes that a customer has a say in"));
            }
            Err(at) => self.standings.insert(at, standing),
        }
        Ok(())
    }

    /// After an unproven restore: what was said yes to is not relied on.
    pub fn forget_consent(&mut self, lineage: u32) {
        for standing in &mut self.standings {
            if standing.status.is_yes() {
                standing.status = Status::Unknown;
            }
        }
        self.lineage = lineage;
    }

    /// The customer is forgotten in part: what they said is too, but for what
    /// keeps data from use.
    pub fn forget_said(&mut self) {
        (self.events, self.head) = (0, [0; 32]);
        self.standings.retain(|one| one.status.keeps_from_use());
    }

    fn find(&self, purpose: u16, special: bool) -> std::result::Result<usize, usize> {
        self.standings
            .binary_search_by_key(&(purpose, special), |s| (s.purpose, s.special))
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let length = HEAD_BYTES
            + self.standings.len() * STANDING_BYTES
            + self.restraints.len() * RESTRAINT_BYTES;
        let mut bytes = Vec::with_capacity(length);
        bytes.push(match self.restraints.as_slice() {
            [] => VERSION,
            _ => RESTRAINED,
        });
        bytes.extend([0; 4]);
        bytes.extend(self.revision.to_be_bytes());
        bytes.extend(self.lineage.to_be_bytes());
        bytes.extend(self.events.to_be_bytes());
        bytes.extend(self.head);
        let count = u16::try_from(self.standings.len()).unwrap_or(u16::MAX);
        bytes.extend(count.to_be_bytes());
        for standing in &self.standings {
            bytes.extend(standing.purpose.to_be_bytes());
            bytes.push(u8::from(standing.special));
            bytes.push(standing.status as u8);
            bytes.extend(standing.expires.map_or(0, |day| day.0).to_be_bytes());
            bytes.extend(standing.notice.to_be_bytes());
        }
        for restraint in &self.restraints {
            let (kind, about) = restraint.what.code();
            bytes.extend(restraint.placed.to_be_bytes());
            bytes.push(kind);
            bytes.extend(about.to_be_bytes());
        }
        bytes
    }

    /// The MAC to store beside the stored form. `key` is the customer's state
    /// MAC key.
    pub fn mac(&self, key: &MacKey, customer: CustomerNumber) -> [u8; 32] {
        mac::mac(key, &[&customer.0.to_be_bytes(), &self.encode()])
    }

    /// Reads a stored form. A flag, a status or a restraint that this version
    /// does not know refuses: it may forbid something.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reading(bytes);
        match rest.take::<1>()? {
            [1] => {
                let restraints = flagged(rest.take()?, RESTRICTED)?;
                let state = Self {
                    revision: u64::from_be_bytes(rest.take()?),
                    restraints,
                    ..Self::active()
                };
                rest.is_empty().then_some(state)
            }
            [VERSION] => {
                let state = Self::decode_body(&mut rest, RESTRICTED | HELD)?;
                rest.is_empty().then_some(state)
            }
            [RESTRAINED] => {
                let mut state = Self::decode_body(&mut rest, 0)?;
                while !rest.is_empty() {
                    state.restraints.push(rest.restraint()?);
                }
                let is_some = (1..=limits::RESTRAINTS).contains(&state.restraints.len());
                is_some.then_some(state)
            }
            _ => None,
        }
    }

    fn decode_body(rest: &mut Reading<'_>, known: u32) -> Option<Self> {
        let mut state = Self {
            restraints: flagged(rest.take()?, known)?,
            revision: u64::from_be_bytes(rest.take()?),
            lineage: u32::from_be_bytes(rest.take()?),
            events: u32::from_be_bytes(rest.take()?),
            head: rest.take()?,
            standings: Vec::new(),
        };
        let count = usize::from(u16::from_be_bytes(rest.take()?));
        if count > limits::STANDINGS || rest.0.len() < count * STANDING_BYTES {
            return None;
        }
        state.standings.reserve_exact(count);
        let mut before = None;
        for _ in 0..count {
            let standing = rest.standing()?;
            let key = (standing.purpose, standing.special);
            if before >= Some(key) {
                return None;
            }
            before = Some(key);
            state.standings.push(standing);
        }
        Some(state)
    }
}

/// What the flags of an old state say; `None`: one that is not `known`.
fn flagged(bytes: [u8; 4], known: u32) -> Option<Vec<Restraint>> {
    let flags = u32::from_be_bytes(bytes);
    let meant = [
        (RESTRICTED, Restrained::Restricted(Cause::Asked)),
        (HELD, Restrained::Held(Scope::Customer)),
    ];
    let set = meant.into_iter().filter(|(flag, _)| flags & flag != 0);
    let restraints = set.map(|(_, what)| Restraint { placed: 0, what });
    (flags & !known == 0).then(|| restraints.collect())
}

/// What is still to be read of a stored form.
struct Reading<'a>(&'a [u8]);

impl Reading<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn standing(&mut self) -> Option<Standing> {
        let purpose = u16::from_be_bytes(self.take()?);
        let [special, status] = self.take()?;
        let expires = i32::from_be_bytes(self.take()?);
        Some(Standing {
            purpose,
            special: match special {
                0 => false,
                1 => true,
                _ => return None,
            },
            status: Status::of(status)?,
            expires: (expires != 0).then_some(Day(expires)),
            notice: u32::from_be_bytes(self.take()?),
        })
    }

    fn restraint(&mut self) -> Option<Restraint> {
        let placed = u64::from_be_bytes(self.take()?);
        let [kind] = self.take()?;
        let what = Restrained::of((kind, u32::from_be_bytes(self.take()?)))?;
        Some(Restraint { placed, what })
    }
}
