//! Remembered decisions of one snapshot. A reload makes a new snapshot with
//! nothing remembered, so that none can outlive what it was decided by.

use super::action::Action;
use super::policy::Verdict;
use crate::limits;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Everything that a decision depends on within one snapshot. A field's form
/// follows from the purpose, its classification from the record type.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// The principal's place in the roles file.
    pub principal: u32,
    /// What is to be done.
    pub action: Action,
    /// The record type's number; 0 for the vault.
    pub record_type: u16,
    /// The purpose's number; 0 for none.
    pub purpose: u16,
    /// One bit a field.
    pub fields: u128,
}

/// At most `limits::DECISIONS_REMEMBERED`, in two halves: when the young half
/// is full it becomes the old one, and what nobody asked for since is dropped.
#[derive(Default)]
pub(super) struct Decisions {
    halves: RwLock<Halves>,
}

#[derive(Default)]
struct Halves {
    young: HashMap<Question, Arc<Verdict>>,
    old: HashMap<Question, Arc<Verdict>>,
}

impl Decisions {
    /// The remembered verdict, or the one that `decide` makes now.
    pub fn get_or(&self, question: Question, decide: impl FnOnce() -> Verdict) -> Arc<Verdict> {
        let old = {
            let halves = self.halves.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(verdict) = halves.young.get(&question) {
                return verdict.clone();
            }
            halves.old.get(&question).cloned()
        };
        // Decided outside the lock: two may decide the same, both rightly.
        let verdict = old.unwrap_or_else(|| Arc::new(decide()));
        let mut halves = self.halves.write().unwrap_or_else(PoisonError::into_inner);
        if halves.young.len() >= limits::DECISIONS_REMEMBERED / 2 {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(question, verdict.clone());
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn question(fields: u128) -> Question {
        Question {
            principal: 0,
            action: Action::GetRecord,
            record_type: 1,
            purpose: 1,
            fields,
        }
    }

    #[test]
    fn a_decision_is_made_once_and_memory_stays_bounded() {
        let decisions = Decisions::default();
        let made = Cell::new(0u32);
        let ask = |fields| {
            decisions.get_or(question(fields), || {
                made.set(made.get() + 1);
                Verdict::Permitted(Arc::new([]))
            })
        };
        ask(1);
        ask(1);
        assert_eq!(made.get(), 1);
        for fields in 0..(limits::DECISIONS_REMEMBERED as u128 * 3) {
            ask(fields);
            ask(1);
        }
        let halves = decisions.halves.read().unwrap();
        assert!(halves.young.len() + halves.old.len() <= limits::DECISIONS_REMEMBERED);
        // What is asked for all the time was never forgotten.
        assert_eq!(
            made.get(),
            u32::try_from(limits::DECISIONS_REMEMBERED * 3).unwrap()
        );
    }
}
