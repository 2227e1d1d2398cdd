//! Who may read what, and list what is there.

use super::action::Action;
use super::grant::{Decided, Grant, GrantedField, List, Read, ReadTarget, Withheld};
use super::roles::Principal;
use super::snapshot::{Fields, Snapshot, named_fields};
use crate::catalog::{Form, Purpose, RecordType};
use crate::clock::Day;
use crate::error::{Denial, Error, Result, Rule};
use crate::id::CustomerId;
use std::sync::Arc;

/// What a read does with a field that the caller may not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// One such field denies the whole read.
    AllOrNothing,
    /// Such fields are withheld, each with its reason.
    WhatIMaySee,
}

/// A read that somebody asks for.
pub struct ReadAsk<'a> {
    /// Which records.
    pub target: ReadTarget,
    /// The record type's name.
    pub record_type: &'a str,
    /// The purpose's name.
    pub purpose: &'a str,
    /// The names of the fields; none: all that the purpose may see.
    pub fields: &'a [String],
    /// What happens with a field that may not be seen.
    pub mode: ReadMode,
    /// Whether the purpose's handle of the customer is shown in any case.
    pub with_handle: bool,
    /// The day of the call, UTC.
    pub today: Day,
}

/// A read without its target, decided.
pub(super) struct ReadDecision {
    pub decided: Decided,
    pub record_type: Arc<RecordType>,
    pub fields: Fields,
    pub withheld: Vec<Withheld>,
}

impl Snapshot {
    /// Decides a read. Denied when the purpose or the policy refuses, when one
    /// field is refused ([`ReadMode::AllOrNothing`]), or when every field is.
    pub fn read(&self, principal: &Arc<Principal>, ask: ReadAsk<'_>) -> Result<Grant<Read>> {
        let action = match ask.target {
            ReadTarget::One(_) => Action::GetRecord,
            ReadTarget::Batch(_) => Action::BatchGetRecords,
            ReadTarget::Customer(_) => Action::ExportCustomer,
            ReadTarget::All => Action::StreamRecords,
        };
        let decision = self.decide_read(
            principal,
            action,
            (ask.record_type, ask.purpose),
            (ask.fields, ask.mode),
            ask.today,
        )?;
        // Every field of a read has its form: see `ceilings`.
        let shown = |(field, form): (_, Option<Form>)| Some(GrantedField { field, form: form? });
        Ok(Grant {
            decided: decision.decided,
            target: Read {
                target: ask.target,
                record_type: decision.record_type,
                fields: decision.fields.into_iter().filter_map(shown).collect(),
                withheld: decision.withheld,
                with_handle: ask.with_handle,
                catalog: Arc::clone(self.catalog()),
                is_whole: ask.mode == ReadMode::AllOrNothing,
            },
        })
    }

    pub(super) fn decide_read(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        (record_type, purpose): (&str, &str),
        (names, mode): (&[String], ReadMode),
        today: Day,
    ) -> Result<ReadDecision> {
        let principal = self.current(principal)?;
        let record_type = self.record_type(record_type)?;
        let named = named_fields(record_type, "fields", names.iter().map(String::as_str))?;
        let purpose = self.purpose(principal, purpose, today)?;
        let (mut fields, mut withheld) = if named.is_empty() {
            (all_granted(record_type, purpose), Vec::new())
        } else {
            let forms = named.into_iter().map(|field| {
                let form = purpose.scope.ceiling(record_type.number, field.number);
                (field, form)
            });
            let (needed, not): (Fields, Fields) = forms.partition(|(_, form)| form.is_some());
            let refused = not.into_iter().map(|(field, _)| Withheld {
                field: field.number,
                denial: Denial {
                    rule: Rule::FieldNotInPurpose,
                    field: Some(field.name.clone()),
                    policies: Vec::new(),
                },
            });
            (needed, refused.collect())
        };
        if mode == ReadMode::AllOrNothing || fields.is_empty() {
            refuse_if_any(&withheld)?;
        }
        if fields.is_empty() {
            return Err(Error::denied(Rule::FieldNotInPurpose));
        }
        let about = (Some(&**record_type), Some(&**purpose));
        let ask = |fields: &Fields| self.permitted(principal, action, about.0, about.1, fields);
        let policies = match ask(&fields) {
            Ok(policies) => policies,
            Err(whole) => {
                let (kept, refused) = one_by_one(fields, |one| ask(one));
                let whole_read = mode == ReadMode::AllOrNothing || kept.is_empty();
                if whole_read || refused.is_empty() {
                    // It is about a field only if others, or none at all,
                    // would have been allowed.
                    let about_fields = !kept.is_empty() || ask(&Fields::new()).is_ok();
                    let first = refused.into_iter().next().filter(|_| about_fields);
                    return Err(Error::Denied(first.map_or(whole, |first| first.denial)));
                }
                withheld.extend(refused);
                fields = kept;
                ask(&fields).map_err(Error::Denied)?
            }
        };
        withheld.sort_by_key(|w| w.field);
        Ok(ReadDecision {
            decided: self.decided(principal, action, Some(purpose), policies),
            record_type: record_type.clone(),
            fields,
            withheld,
        })
    }

    /// Decides the listing of a customer's records of one type. The purpose
    /// must need a field of the type.
    pub fn list(
        &self,
        principal: &Arc<Principal>,
        customer: CustomerId,
        record_type: &str,
        purpose: &str,
        today: Day,
    ) -> Result<Grant<List>> {
        let (decided, record_type) = self.decide_list(principal, record_type, purpose, today)?;
        let target = List {
            customer,
            record_type,
        };
        Ok(Grant { decided, target })
    }

    pub(super) fn decide_list(
        &self,
        principal: &Arc<Principal>,
        record_type: &str,
        purpose: &str,
        today: Day,
    ) -> Result<(Decided, Arc<RecordType>)> {
        let action = Action::ListRecords;
        let principal = self.current(principal)?;
        let record_type = self.record_type(record_type)?;
        let purpose = self.purpose(principal, purpose, today)?;
        if purpose.scope.granted(record_type.number).next().is_none() {
            return Err(Error::denied(Rule::FieldNotInPurpose));
        }
        let policies = self
            .permitted(principal, action, Some(record_type), Some(purpose), &[])
            .map_err(Error::Denied)?;
        let decided = self.decided(principal, action, Some(purpose), policies);
        Ok((decided, record_type.clone()))
    }

    /// Whether the caller may be told that a customer was erased. Everybody
    /// else hears that there is no such customer.
    pub fn may_know_erased(&self, principal: &Arc<Principal>) -> bool {
        self.current(principal).is_ok_and(|principal| {
            self.permitted(principal, Action::KnowErased, None, None, &[])
                .is_ok()
        })
    }
}

fn refuse_if_any(refused: &[Withheld]) -> Result<()> {
    match refused.first() {
        Some(first) => Err(Error::Denied(first.denial.clone())),
        None => Ok(()),
    }
}

/// Every field that the purpose may see, with its ceiling.
fn all_granted(record_type: &RecordType, purpose: &Purpose) -> Fields {
    let granted = purpose.scope.granted(record_type.number);
    let fields = granted.filter_map(|(number, form)| {
        let field = record_type.field_by_number(number)?;
        Some((field.clone(), Some(form)))
    });
    fields.collect()
}

/// Asks for each field alone: those allowed, and those refused with the reason.
fn one_by_one(
    fields: Fields,
    ask: impl Fn(&Fields) -> std::result::Result<Arc<[String]>, Denial>,
) -> (Fields, Vec<Withheld>) {
    let (mut kept, mut refused) = (Fields::new(), Vec::new());
    for field in fields {
        let one = vec![field];
        match ask(&one) {
            Ok(_) => kept.extend(one),
            Err(denial) => refused.extend(one.into_iter().map(|(field, _)| Withheld {
                field: field.number,
                denial: Denial {
                    field: Some(field.name.clone()),
                    ..denial.clone()
                },
            })),
        }
    }
    (kept, refused)
}
