//! Explains a decision without making a grant: for the access matrix and for
//! `oubliette policy check`.

use super::action::Action;
use super::read::ReadMode;
use super::roles::Principal;
use super::snapshot::{Fields, Snapshot};
use crate::catalog::{Form, Purpose};
use crate::clock::Day;
use crate::error::{Error, Result};
use crate::id::CatalogName;
use std::sync::Arc;

/// What would be allowed.
#[derive(Debug)]
pub struct Explained {
    /// The ids of the policies that permit.
    pub policies: Vec<String>,
    /// For a read, what would be shown, and how much of it.
    pub shown: Vec<(CatalogName, Form)>,
    /// What would be withheld from a read, or is refused in a write, with the
    /// reason and the deciding policies.
    pub withheld: Vec<(CatalogName, &'static str, Vec<String>)>,
}

impl Snapshot {
    /// What a principal may do. A read is asked for every field that the
    /// purpose may see, a write for every field of the type that some purpose
    /// needs. The error is the one that a call would get that is about nothing
    /// that is allowed.
    ///
    /// `principal` is a name of the roles file, so that nobody needs to be
    /// authenticated to be explained; nothing can be done with the answer.
    pub fn explain(
        &self,
        principal: &str,
        action: Action,
        record_type: &str,
        purpose: &str,
        today: Day,
    ) -> Result<Explained> {
        let principal = &self.listed(principal)?;
        if action == Action::ListRecords {
            let (decided, _) = self.decide_list(principal, record_type, purpose, today)?;
            return Ok(allowed(&decided.policies));
        }
        if action.is_said_of_a_purpose() {
            let decided = self.decide_say(principal, action, purpose, today)?;
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
        let ask = |fields: &[_]| self.permitted(principal, action, Some(record_type), None, fields);
        if let Ok(policies) = ask(&fields) {
            return Ok(allowed(&policies));
        }
        let (kept, refused): (Fields, Fields) = fields
            .into_iter()
            .partition(|one| ask(std::slice::from_ref(one)).is_ok());
        // With nothing left this is the denial of the action itself.
        let policies = ask(&kept).map_err(Error::Denied)?;
        let refused = refused.into_iter().filter_map(|one| {
            let denial = ask(std::slice::from_ref(&one)).err()?;
            Some((one.0.name.clone(), denial.rule.reason(), denial.policies))
        });
        Ok(Explained {
            withheld: refused.collect(),
            ..allowed(&policies)
        })
    }

    /// The purposes that a principal may act for today.
    pub(crate) fn purposes_of(&self, principal: &Principal, today: Day) -> Vec<Arc<Purpose>> {
        let all = self.catalog().purposes();
        let open = all.filter(|p| self.purpose(principal, p.name.as_str(), today).is_ok());
        open.cloned().collect()
    }

    fn listed(&self, name: &str) -> Result<Arc<Principal>> {
        let mut all = self.roles().principals();
        let found = all.find(|principal| &**principal.name() == name);
        let missing = "the roles file lists no such principal; write tenant/service";
        found
            .cloned()
            .ok_or_else(|| Error::Setup(missing.to_owned()))
    }
}

fn allowed(policies: &[String]) -> Explained {
    Explained {
        policies: policies.to_vec(),
        shown: Vec::new(),
        withheld: Vec::new(),
    }
}
