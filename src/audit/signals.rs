//! Something is wrong: what a principal does is held against what it did
//! before, from what is written down anyway. All of it is in memory and
//! bounded, and none of it says which customer; a restart learns anew.

use super::{Leaf, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Result, Rule};
use crate::id::CustomerNumber;
use crate::limits;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::broadcast;

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Many more distinct customers in an hour than in those before.
    ManyCustomers,
    /// A field that it never opened before.
    NewField,
    /// Many denials in a minute.
    Denials,
    /// Many ids in a minute that are nobody's: a search for customers.
    Sweep,
    /// Something opened in the hours when nobody should.
    OffHours,
    /// A planted customer, whom nobody should ever read.
    Decoy,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::ManyCustomers,
        Self::NewField,
        Self::Denials,
        Self::Sweep,
        Self::OffHours,
        Self::Decoy,
    ];

    /// The word for it, in the configuration, metrics and entries.
    pub fn word(self) -> &'static str {
        match self {
            Self::ManyCustomers => "many_customers",
            Self::NewField => "new_field",
            Self::Denials => "denials",
            Self::Sweep => "sweep",
            Self::OffHours => "off_hours",
            Self::Decoy => "decoy",
        }
    }

    /// The kind that a word names.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A sign that something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// What.
    pub kind: Kind,
    /// Whose doing.
    pub principal: Arc<str>,
    /// How many of what was counted.
    pub count: u64,
    /// Whether the principal is blocked for it from here on.
    pub blocks: bool,
}

/// When something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many times the usual number of customers an hour, and
    pub customers_times: u64,
    /// at least so many.
    pub customers_least: u64,
    /// Denials a minute.
    pub denials_a_minute: u64,
    /// Ids a minute that are nobody's.
    pub missed_a_minute: u64,
    /// Whether the first use of a field is told.
    pub new_fields: bool,
    /// From this hour (UTC) to before that one nobody should open anything.
    pub quiet: Option<(u32, u32)>,
    /// What a principal is blocked for.
    pub block: Vec<Kind>,
}

/// One principal, as far as it is remembered.
#[derive(Default)]
struct Known {
    minute: i64,
    denials: u64,
    missed: u64,
    hour: i64,
    customers: u64,
    /// Customers an hour, smoothed over hours with something in them.
    usual: u64,
    /// How many such hours.
    hours: u32,
    fields: HashSet<(String, u16)>,
    /// The hour in which each kind was told last.
    told: [i64; Kind::ALL.len()],
}

/// Looks at what is written down.
pub struct Signals {
    limits: Limits,
    known: Mutex<HashMap<Arc<str>, Known>>,
    decoys: RwLock<HashSet<CustomerNumber>>,
    blocked: RwLock<HashSet<Arc<str>>>,
    told: broadcast::Sender<Signal>,
}

impl Signals {
    /// Looks for what these limits say.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            known: Mutex::default(),
            decoys: RwLock::default(),
            blocked: RwLock::default(),
            told: broadcast::Sender::new(limits::SIGNALS_WAITING),
        }
    }

    /// Every signal from here on: for whoever counts, writes down, or tells
    /// others.
    pub fn subscribe(&self) -> broadcast::Receiver<Signal> {
        self.told.subscribe()
    }

    /// From here on these are the planted customers.
    pub fn plant(&self, decoys: HashSet<CustomerNumber>) {
        *self.decoys.write().unwrap_or_else(PoisonError::into_inner) = decoys;
    }

    /// From here on this principal is blocked.
    pub fn block(&self, principal: &Arc<str>) {
        let mut blocked = self.blocked.write().unwrap_or_else(PoisonError::into_inner);
        blocked.insert(Arc::clone(principal));
    }

    /// From here on it is not.
    pub fn lift(&self, principal: &str) {
        let mut blocked = self.blocked.write().unwrap_or_else(PoisonError::into_inner);
        blocked.remove(principal);
    }

    /// Refuses a principal that is blocked.
    ///
    /// # Errors
    /// [`Rule::Blocked`].
    pub fn admit(&self, principal: &str) -> Result<()> {
        let blocked = self.blocked.read().unwrap_or_else(PoisonError::into_inner);
        if blocked.contains(principal) {
            return Err(Error::denied(Rule::Blocked));
        }
        Ok(())
    }

    /// A principal touched a customer, as one of so many distinct ones in the
    /// hour.
    ///
    /// # Errors
    /// [`Rule::Blocked`] where it is blocked for that.
    pub fn touched(
        &self,
        principal: &Arc<str>,
        customer: CustomerNumber,
        distinct: u64,
        now: Instant,
    ) -> Result<()> {
        let decoys = self.decoys.read().unwrap_or_else(PoisonError::into_inner);
        let is_decoy = decoys.contains(&customer);
        drop(decoys);
        self.look(principal, now, |known, limits| {
            known.customers = known.customers.max(distinct);
            let usual = known.usual.saturating_mul(limits.customers_times);
            let is_many =
                known.hours >= limits::SIGNAL_HOURS && distinct > usual.max(limits.customers_least);
            let many = is_many.then_some((Kind::ManyCustomers, distinct));
            is_decoy
                .then_some((Kind::Decoy, 1))
                .into_iter()
                .chain(many)
                .collect()
        });
        self.admit(principal)
    }

    /// A leaf of a principal is about to be written.
    pub fn written(&self, principal: &Arc<str>, leaf: &Leaf, now: Instant) {
        self.look(principal, now, |known, limits| {
            let mut found = Vec::new();
            if leaf.verdict == Verdict::Denied && leaf.reason != Rule::Blocked.reason() {
                known.denials += 1;
                if known.denials > limits.denials_a_minute {
                    found.push((Kind::Denials, known.denials));
                }
            }
            if leaf.verdict == Verdict::Failed && leaf.reason == "CUSTOMER_NOT_FOUND" {
                known.missed += 1;
                if known.missed > limits.missed_a_minute {
                    found.push((Kind::Sweep, known.missed));
                }
            }
            let is_read = leaf.verdict == Verdict::Allowed
                && !leaf.purpose.is_empty()
                && !leaf.fields.is_empty();
            if !is_read {
                return found;
            }
            let new = known.new_fields(leaf);
            if limits.new_fields && new > 0 && known.hours >= limits::SIGNAL_HOURS {
                found.push((Kind::NewField, new));
            }
            let hour = now.seconds().rem_euclid(24 * HOUR) / HOUR;
            let is_quiet = limits.quiet.is_some_and(|(from, to)| {
                let (from, to) = (i64::from(from), i64::from(to));
                if from <= to {
                    (from..to).contains(&hour)
                } else {
                    hour >= from || hour < to
                }
            });
            if is_quiet {
                found.push((Kind::OffHours, 1));
            }
            found
        });
    }

    /// Looks at a principal, and tells each kind that is found once an hour.
    fn look(
        &self,
        principal: &Arc<str>,
        now: Instant,
        look: impl FnOnce(&mut Known, &Limits) -> Vec<(Kind, u64)>,
    ) {
        let mut all = self.known();
        if all.len() >= limits::PRINCIPALS && !all.contains_key(principal) {
            return;
        }
        let known = all.entry(Arc::clone(principal)).or_default();
        known.turn(now);
        let found = look(known, &self.limits);
        let hour = now.seconds().div_euclid(HOUR);
        for (kind, count) in found {
            let at = Kind::ALL.iter().position(|other| *other == kind);
            let Some(told) = at.and_then(|at| known.told.get_mut(at)) else {
                continue;
            };
            let blocks = self.limits.block.contains(&kind);
            let is_news = std::mem::replace(told, hour) != hour;
            if blocks {
                self.block(principal);
            }
            if is_news || blocks {
                // Where nobody listens there is nobody to tell.
                let _ = self.told.send(Signal {
                    kind,
                    principal: Arc::clone(principal),
                    count,
                    blocks,
                });
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Arc<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Minutes and hours that are over count no more; an hour that had
    /// customers becomes part of what is usual.
    fn turn(&mut self, now: Instant) {
        let minute = now.seconds().div_euclid(MINUTE);
        if self.minute < minute {
            (self.minute, self.denials, self.missed) = (minute, 0, 0);
        }
        let hour = now.seconds().div_euclid(HOUR);
        if self.hour < hour {
            if self.customers > 0 {
                let before = if self.hours == 0 {
                    self.customers
                } else {
                    self.usual
                };
                self.usual = (before.saturating_mul(7).saturating_add(self.customers)).div_ceil(8);
                self.hours = self.hours.saturating_add(1);
            }
            (self.hour, self.customers) = (hour, 0);
        }
    }

    /// How many fields of a leaf are new; there is room for so many.
    fn new_fields(&mut self, leaf: &Leaf) -> u64 {
        let mut new = 0;
        for field in &leaf.fields {
            if self.fields.len() >= limits::SIGNAL_FIELDS {
                break;
            }
            new += u64::from(self.fields.insert((leaf.record_type.clone(), *field)));
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(block: Vec<Kind>) -> (Signals, broadcast::Receiver<Signal>) {
        let signals = Signals::new(Limits {
            customers_times: 3,
            customers_least: 10,
            denials_a_minute: 5,
            missed_a_minute: 5,
            new_fields: true,
            quiet: Some((22, 5)),
            block,
        });
        let told = signals.subscribe();
        (signals, told)
    }

    fn at(hour: i64, minute: i64) -> Instant {
        Instant::from_micros((hour * HOUR + minute * MINUTE) * 1_000_000)
    }

    fn read(fields: &[u16]) -> Leaf {
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        "care".clone_into(&mut leaf.purpose);
        leaf.fields = fields.to_vec();
        leaf
    }

    fn kinds(told: &mut broadcast::Receiver<Signal>) -> Vec<(Kind, u64)> {
        let mut kinds = Vec::new();
        while let Ok(signal) = told.try_recv() {
            kinds.push((signal.kind, signal.count));
        }
        kinds
    }

    #[test]
    fn what_is_usual_is_learned_and_what_is_not_is_told_once_an_hour() {
        let (signals, mut told) = signals(Vec::new());
        let who: Arc<str> = Arc::from("acme/support");
        let touch = |distinct, hour| {
            let customer = CustomerNumber(distinct);
            signals
                .touched(&who, customer, distinct, at(hour, 0))
                .unwrap();
        };
        // While it learns nothing is new.
        for hour in 0..i64::from(limits::SIGNAL_HOURS) {
            (1..=8).for_each(|distinct| touch(distinct, hour));
            if hour == 12 {
                signals.written(&who, &read(&[1, 2]), at(hour, 0));
            }
        }
        let hour = i64::from(limits::SIGNAL_HOURS) + 10;
        (1..=24).for_each(|distinct| touch(distinct, hour));
        assert_eq!(kinds(&mut told), [], "three times as many");
        (25..=60).for_each(|distinct| touch(distinct, hour));
        assert_eq!(kinds(&mut told), [(Kind::ManyCustomers, 25)]);
        signals.written(&who, &read(&[1, 7]), at(hour, 1));
        signals.written(&who, &read(&[1, 7]), at(hour, 2));
        assert_eq!(kinds(&mut told), [(Kind::NewField, 1)]);
    }

    #[test]
    fn denials_sweeps_quiet_hours_and_decoys_are_told_and_block_where_asked() {
        let (signals, mut told) = signals(vec![Kind::Sweep, Kind::Decoy]);
        let (one, two): (Arc<str>, Arc<str>) = (Arc::from("acme/one"), Arc::from("acme/two"));
        let denied = Leaf::new(Verdict::Denied, "POLICY_DENIED");
        let missed = Leaf::new(Verdict::Failed, "CUSTOMER_NOT_FOUND");
        for minute in 0..5 {
            (0..5).for_each(|_| signals.written(&one, &denied, at(12, minute)));
            (0..5).for_each(|_| signals.written(&one, &missed, at(12, minute)));
        }
        assert_eq!(kinds(&mut told), [], "no more than a minute may have");
        (0..6).for_each(|_| signals.written(&one, &denied, at(12, 9)));
        assert_eq!(kinds(&mut told), [(Kind::Denials, 6)]);
        assert!(signals.admit(&one).is_ok());
        (0..6).for_each(|_| signals.written(&one, &missed, at(12, 9)));
        assert_eq!(kinds(&mut told), [(Kind::Sweep, 6)]);
        let refused = signals.admit(&one).unwrap_err();
        assert_eq!(refused.reason(), "PRINCIPAL_BLOCKED");
        assert!(signals.admit(&two).is_ok());

        signals.written(&two, &read(&[1]), at(21, 59));
        assert_eq!(kinds(&mut told), []);
        signals.written(&two, &read(&[1]), at(22, 0));
        signals.written(&two, &read(&[1]), at(28, 59));
        assert_eq!(kinds(&mut told).len(), 2, "before and after midnight");
        signals.plant(HashSet::from([CustomerNumber(7)]));
        assert!(
            signals
                .touched(&two, CustomerNumber(8), 1, at(40, 0))
                .is_ok()
        );
        assert!(
            signals
                .touched(&two, CustomerNumber(7), 2, at(40, 0))
                .is_err()
        );
        assert_eq!(kinds(&mut told), [(Kind::Decoy, 1)]);
        signals.lift(&two);
        assert!(signals.admit(&two).is_ok() && signals.admit(&one).is_err());
    }
}
