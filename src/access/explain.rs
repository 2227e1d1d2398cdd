//! Explains a decision without making a grant: for the access matrix and for
//! `oubliette policy check`.

use super::action::Action;
use super::read::ReadMode;
use super::roles::Principal;
use super::snapshot::{Fields, Snapshot};
use crate::catalog::{Form, Purpose};
use crate::clock::Day;
use crate::error::Result;
use crate::id::CatalogName;
use std::sync::Arc;

/// What would be allowed.
#[derive(Debug)]
pub struct Explained {
    /// The ids of the policies that permit.
    pub policies: Vec<String>,
    /// For a read, what would be shown, and how much of it.
    pub shown: Vec<(CatalogName, Form)>,
    /// For a read, what would be withheld, by reason and deciding policies.
    pub withheld: Vec<(CatalogName, &'static str, Vec<String>)>,
}

impl Snapshot {
    /// What a principal may do. A read is asked for every field that the
    /// purpose may see, a write for every field of the type that some purpose
    /// needs. The error is the one that a call would get.
    pub fn explain(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        record_type: &str,
        purpose: &str,
        today: Day,
    ) -> Result<Explained> {
        if action == Action::ListRecords {
            let (decided, _) = self.decide_list(principal, record_type, purpose, today)?;
            return Ok(allowed(&decided.policies));
        }
        if action.needs_purpose() {
            return self.explain_read(principal, action, (record_type, purpose), today);
        }
        if action.is_about_records() {
            return self.explain_write(principal, action, record_type, today);
        }
        Ok(allowed(&self.vault_wide(principal, action)?.policies))
    }

    fn explain_read(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        (record_type, purpose): (&str, &str),
        today: Day,
    ) -> Result<Explained> {
        let mode = ReadMode::WhatIMaySee;
        let about = (record_type, purpose);
        let decision = self.decide_read(principal, action, about, (&[], mode), today)?;
        let mut explained = allowed(&decision.decided.policies);
        explained.shown = decision
            .fields
            .into_iter()
            .filter_map(|(field, form)| Some((field.name.clone(), form?)))
            .collect();
        let withheld = decision.withheld.into_iter().map(|w| w.denial);
        explained.withheld = withheld
            .filter_map(|denial| Some((denial.field?, denial.rule.reason(), denial.policies)))
            .collect();
        Ok(explained)
    }

    fn explain_write(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        record_type: &str,
        today: Day,
    ) -> Result<Explained> {
        let principal = self.current(principal)?;
        let record_type = self.record_type(record_type)?;
        let needed = record_type.fields().iter().filter(|field| {
            action != Action::DeleteRecord
                && self
                    .catalog()
                    .is_needed(record_type.number, field.number, today)
        });
        let fields: Fields = needed.map(|field| (field.clone(), None)).collect();
        let policies = self.permitted_fields(principal, action, record_type, &fields)?;
        Ok(allowed(&policies))
    }

    /// The purposes that a principal may act for today.
    pub fn purposes_of(&self, principal: &Arc<Principal>, today: Day) -> Vec<Arc<Purpose>> {
        let all = self.catalog().purposes();
        let open = |purpose: &&Arc<Purpose>| {
            self.purpose(principal, purpose.name.as_str(), today)
                .is_ok()
        };
        all.filter(open).cloned().collect()
    }
}

fn allowed(policies: &[String]) -> Explained {
    Explained {
        policies: policies.to_vec(),
        shown: Vec::new(),
        withheld: Vec::new(),
    }
}
