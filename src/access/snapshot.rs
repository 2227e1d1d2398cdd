//! One state of catalog, roles and policy. A call takes the snapshot in force
//! when it begins and is decided by it alone, whatever is reloaded meanwhile.
//!
//! The order of the questions is the order of [`Rule`]: purpose, fields,
//! policy, and last the customer's own state (in [`super::grant`]). All but
//! the last are answered before anything is looked up, so that a caller cannot
//! learn of the existence of what it may not see.

use super::action::Action;
use super::decisions::{Decisions, Question};
use super::grant::Decided;
use super::policy::{Asked, Policies, Verdict};
use super::roles::{Principal, Roles};
use crate::catalog::{Catalog, Field, Form, Purpose, RecordType};
use crate::clock::Day;
use crate::error::{Denial, Error, Result, Rule, Unauthenticated, Violation};
use crate::id::{ServiceName, TenantName};
use crate::limits;
use std::sync::Arc;

/// A checked catalog, roles file and policy file that fit each other.
pub struct Snapshot {
    number: u64,
    catalog: Arc<Catalog>,
    roles: Roles,
    policies: Policies,
    decisions: Decisions,
}

/// Fields of one type; for a read with the forms they are shown in.
pub(super) type Fields = Vec<(Arc<Field>, Option<Form>)>;

impl Snapshot {
    pub(super) fn new(number: u64, catalog: Catalog, roles: Roles, policies: Policies) -> Self {
        Self {
            number,
            catalog: Arc::new(catalog),
            roles,
            policies,
            decisions: Decisions::default(),
        }
    }

    /// Its number: 1 for the first, one more with every reload.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Its roles and principals.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// The tenants of the principals, each once or more.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantName> {
        self.roles.principals().map(|principal| principal.tenant())
    }

    /// The principal of that name. Only `authn` calls it, for a caller whose
    /// certificate it has checked.
    pub(crate) fn principal(
        &self,
        tenant: &TenantName,
        service: &ServiceName,
    ) -> Option<&Arc<Principal>> {
        self.roles.find(tenant, service)
    }

    /// The record type of a request.
    pub(super) fn record_type(&self, name: &str) -> Result<&Arc<RecordType>> {
        self.catalog.record_type(name).ok_or_else(|| {
            Error::invalid(Violation::new(
                "record_type",
                "must be a record type of the catalog",
            ))
        })
    }

    /// The purpose of a request, if the caller may act for it.
    pub(super) fn purpose(
        &self,
        principal: &Principal,
        name: &str,
        today: Day,
    ) -> Result<&Arc<Purpose>> {
        if name.is_empty() {
            return Err(Error::denied(Rule::PurposeMissing));
        }
        let purpose = self.catalog.purpose(name);
        let purpose = purpose.ok_or_else(|| Error::denied(Rule::PurposeUnknown))?;
        if !purpose.is_live() {
            return Err(Error::denied(Rule::NoticeUnpublished));
        }
        if purpose.scope.is_expired(today) {
            return Err(Error::denied(Rule::PurposeExpired));
        }
        if !principal
            .roles()
            .iter()
            .any(|role| purpose.scope.callers.contains(role))
        {
            return Err(Error::denied(Rule::PurposeNotGranted));
        }
        leaves_for(principal, purpose)?;
        Ok(purpose)
    }

    /// The same principal as this snapshot's roles file has it: one that was
    /// removed meanwhile is nobody.
    pub(super) fn current(&self, principal: &Arc<Principal>) -> Result<&Arc<Principal>> {
        let unknown = Error::Unauthenticated(Unauthenticated::UnknownPrincipal);
        self.roles.current(principal).ok_or(unknown)
    }

    /// What the policies say. `principal` is this snapshot's own.
    pub(super) fn ask(
        &self,
        principal: &Principal,
        action: Action,
        record_type: Option<&RecordType>,
        purpose: Option<&Purpose>,
        fields: &[(Arc<Field>, Option<Form>)],
    ) -> Arc<Verdict> {
        let question = Question {
            principal: principal.number,
            action,
            record_type: record_type.map_or(0, |t| t.number),
            purpose: purpose.map_or(0, |p| p.number),
            fields: fields.iter().fold(0, |set, (field, _)| set | field.bit()),
        };
        self.decisions.get_or(question, || {
            let asked = Asked {
                action,
                record_type: record_type.map(|t| t.name.as_str()),
                purpose: purpose.map_or("", |p| p.name.as_str()),
                fields,
            };
            self.policies.ask(principal, &asked)
        })
    }

    /// The same, as the policies that permit or a denial about no one field.
    pub(super) fn permitted(
        &self,
        principal: &Principal,
        action: Action,
        record_type: Option<&RecordType>,
        purpose: Option<&Purpose>,
        fields: &[(Arc<Field>, Option<Form>)],
    ) -> std::result::Result<Arc<[String]>, Denial> {
        match &*self.ask(principal, action, record_type, purpose, fields) {
            Verdict::Permitted(policies) => Ok(policies.clone()),
            Verdict::Refused(rule, policies) => Err(Denial {
                rule: *rule,
                field: None,
                policies: policies.to_vec(),
            }),
        }
    }

    pub(super) fn decided(
        &self,
        principal: &Arc<Principal>,
        action: Action,
        purpose: Option<&Arc<Purpose>>,
        policies: Arc<[String]>,
    ) -> Decided {
        Decided {
            principal: principal.clone(),
            action,
            purpose: purpose.cloned(),
            policies,
            catalog_version: self.catalog.version(),
            snapshot: self.number,
        }
    }
}

/// That the purpose's data may go to this caller: it is nobody else's, or a
/// recipient that the purpose names; and it is where the purpose's data may be.
fn leaves_for(principal: &Principal, purpose: &Purpose) -> Result<()> {
    let scope = &purpose.scope;
    if let Some(recipient) = principal.recipient()
        && !scope.recipients.iter().any(|named| named == recipient)
    {
        return Err(Error::denied(Rule::RecipientNotAllowed));
    }
    let allowed = |region: &str| scope.jurisdictions.iter().any(|named| named == region);
    if !scope.jurisdictions.is_empty() && !principal.regions().iter().any(|r| allowed(r)) {
        return Err(Error::denied(Rule::JurisdictionNotAllowed));
    }
    Ok(())
}

/// The fields that a request names, ordered by number. A refusal names the
/// place in the request, never what stood there.
pub(super) fn named_fields<'a>(
    record_type: &RecordType,
    request_field: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<Arc<Field>>> {
    let mut fields: Vec<Arc<Field>> = Vec::new();
    let mut violations = Vec::new();
    let mut seen = 0u128;
    for (at, name) in names.enumerate() {
        if at >= limits::FIELDS_PER_REQUEST {
            let rule = format!("must name at most {} fields", limits::FIELDS_PER_REQUEST);
            return Err(Error::invalid(Violation::new(request_field, rule)));
        }
        let place = || format!("{request_field}[{at}]");
        match record_type.field(name) {
            None => {
                let rule = format!("must be a field of record type {}", record_type.name);
                violations.push(Violation::new(place(), rule));
            }
            Some(field) if seen & field.bit() != 0 => {
                violations.push(Violation::new(place(), "must not name a field twice"));
            }
            Some(field) => {
                seen |= field.bit();
                fields.push(field.clone());
            }
        }
    }
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    fields.sort_by_key(|field| field.number);
    Ok(fields)
}
