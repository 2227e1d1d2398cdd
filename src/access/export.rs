//! Who may give a person what is known of them.

use super::action::Action;
use super::grant::{Grant, GrantedField, Read, ReadTarget};
use super::read::ReadMode;
use super::roles::Principal;
use super::snapshot::Snapshot;
use crate::clock::Day;
use crate::error::{Error, Result, Rule};
use crate::id::CustomerId;
use std::sync::Arc;

impl Snapshot {
    /// Decides the export of a customer's records: one grant for each record
    /// type of which the purpose may see something. The error is that of the
    /// first type where none is allowed.
    pub fn export(
        &self,
        principal: &Arc<Principal>,
        customer: &CustomerId,
        purpose: &str,
        today: Day,
    ) -> Result<Vec<Grant<Read>>> {
        let (mut grants, mut refusal) = (Vec::new(), Error::denied(Rule::FieldNotInPurpose));
        let names = self
            .catalog()
            .record_types()
            .map(|one| one.name.to_string());
        for (at, record_type) in names.enumerate() {
            let (action, mode) = (Action::ExportCustomer, ReadMode::WhatIMaySee);
            let about = (record_type.as_str(), purpose);
            match self.decide_read(principal, action, about, (&[], mode), today) {
                Ok(decision) => {
                    let shown = decision
                        .fields
                        .into_iter()
                        .filter_map(|(field, form)| Some(GrantedField { field, form: form? }));
                    let customer = CustomerId::parse("name", customer.expose())?;
                    grants.push(Grant {
                        decided: decision.decided,
                        target: Read {
                            target: ReadTarget::Customer(customer),
                            record_type: decision.record_type,
                            fields: shown.collect(),
                            withheld: decision.withheld,
                            with_handle: false,
                            catalog: Arc::clone(self.catalog()),
                            is_whole: false,
                        },
                    });
                }
                Err(error) if at == 0 => refusal = error,
                Err(_) => {}
            }
        }
        if grants.is_empty() {
            Err(refusal)
        } else {
            Ok(grants)
        }
    }
}
