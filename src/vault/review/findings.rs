//! What could be less, and what to do about each.

use super::Usage;
use crate::access::Roles;
use crate::catalog::{Catalog, Form, Mechanism, Purpose, RecordType};
use crate::clock::Day;
use crate::id::TenantName;
use crate::store::KeepingCounts;
use std::sync::Arc;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// A field that nobody read.
    FieldNeverRead,
    /// A field that a purpose may see and never looked at.
    PurposeWiderThanUse,
    /// A whole value is shown where part of it might do.
    RawWhereLessMightDo,
    /// A service that may act for a purpose and never did.
    GrantNeverUsed,
    /// A purpose that has expired or has no published notice.
    BasisGone,
    /// Customers whose records nobody changed.
    CustomersIdle,
    /// Records past their time that could not be swept.
    RetentionOverdue,
    /// Consents that run out soon.
    ConsentsAboutToExpire,
}

/// Something that could be less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// What or who.
    pub subject: String,
    /// How many; 0 where it is one thing.
    pub count: u64,
    /// What to do.
    pub action: String,
}

/// Everything that could be less.
pub fn find(
    catalog: &Catalog,
    (roles, tenant): (&Roles, &TenantName),
    usage: &Usage,
    counts: KeepingCounts,
    (days, today): (u32, Day),
) -> Vec<Finding> {
    let mut found = Vec::new();
    for record_type in catalog.record_types() {
        never_read(&mut found, record_type, usage);
    }
    for purpose in catalog.purposes() {
        basis_gone(&mut found, purpose, today);
        wider_than_use(&mut found, catalog, purpose, usage);
        raw(&mut found, catalog, purpose);
    }
    never_used(&mut found, catalog, (roles, tenant), usage);
    counted(&mut found, counts, days);
    found
}

fn one(found: &mut Vec<Finding>, kind: FindingKind, subject: String, action: String) {
    found.push(Finding {
        kind,
        subject,
        count: 0,
        action,
    });
}

fn never_read(found: &mut Vec<Finding>, record_type: &RecordType, usage: &Usage) {
    for field in record_type.fields() {
        let reads = usage.of_field(record_type.name.as_str(), field.number.0);
        if reads.is_empty() {
            let subject = format!("{}.{}", record_type.name, field.name);
            let action = format!(
                "stop collecting it: oubliette review what-if --drop {subject} says who would \
                 miss it"
            );
            one(found, FindingKind::FieldNeverRead, subject, action);
        }
    }
}

fn basis_gone(found: &mut Vec<Finding>, purpose: &Purpose, today: Day) {
    let action = if purpose.scope.is_expired(today) {
        format!("take purposes/{}.toml away: it has expired", purpose.name)
    } else if !purpose.is_live() {
        format!("publish its notice, notices/{}.toml", purpose.name)
    } else {
        return;
    };
    one(
        found,
        FindingKind::BasisGone,
        purpose.name.to_string(),
        action,
    );
}

fn granted<'a>(
    catalog: &'a Catalog,
    purpose: &'a Purpose,
) -> impl Iterator<Item = (&'a Arc<RecordType>, crate::id::FieldNumber, Form)> {
    let types = purpose.scope.record_types();
    let types = types.filter_map(|number| catalog.record_type_by_number(number));
    types.flat_map(move |record_type| {
        let granted = purpose.scope.granted(record_type.number);
        granted.map(move |(field, form)| (record_type, field, form))
    })
}

/// Of a purpose that was used at all.
fn wider_than_use(found: &mut Vec<Finding>, catalog: &Catalog, purpose: &Purpose, usage: &Usage) {
    let name = purpose.name.as_str();
    if !usage.purposes().contains_key(name) {
        return;
    }
    for (record_type, number, _) in granted(catalog, purpose) {
        let of_type = record_type.name.as_str();
        let is_read = usage.of_field(of_type, number.0).contains_key(name);
        if let (false, Some(field)) = (is_read, record_type.field_by_number(number)) {
            let subject = format!("{name}: {of_type}.{}", field.name);
            let action = format!(
                "take {} out of [grants.{of_type}] in purposes/{name}.toml",
                field.name
            );
            one(found, FindingKind::PurposeWiderThanUse, subject, action);
        }
    }
}

/// Whole values for purposes in which the customer has a say: who asks for
/// offers need not be known by their birth date.
fn raw(found: &mut Vec<Finding>, catalog: &Catalog, purpose: &Purpose) {
    if purpose.scope.mechanism == Mechanism::NoticeOnly {
        return;
    }
    for (record_type, number, form) in granted(catalog, purpose) {
        let Some(field) = record_type.field_by_number(number) else {
            continue;
        };
        let less = Form::less_than_raw(field).filter(|_| form == Form::Raw);
        if let Some(less) = less {
            let (name, of_type) = (&purpose.name, &record_type.name);
            let subject = format!("{name}: {of_type}.{}", field.name);
            let action = format!(
                "see whether {} = \"{less}\" will do in purposes/{name}.toml",
                field.name
            );
            one(found, FindingKind::RawWhereLessMightDo, subject, action);
        }
    }
}

fn never_used(
    found: &mut Vec<Finding>,
    catalog: &Catalog,
    (roles, tenant): (&Roles, &TenantName),
    usage: &Usage,
) {
    let own = roles.principals().filter(|who| who.tenant() == tenant);
    for principal in own {
        for purpose in catalog.purposes() {
            let callers = &purpose.scope.callers;
            let may = principal.roles().iter().any(|role| callers.contains(role));
            let key = (principal.name().to_string(), purpose.name.to_string());
            if may && !usage.services.contains_key(&key) {
                let subject = format!("{}: {}", principal.name(), purpose.name);
                let action = format!(
                    "take its role out of callers in purposes/{}.toml, or the service out of \
                     roles.toml",
                    purpose.name
                );
                one(found, FindingKind::GrantNeverUsed, subject, action);
            }
        }
    }
}

fn counted(found: &mut Vec<Finding>, counts: KeepingCounts, days: u32) {
    let rows = [
        (
            FindingKind::CustomersIdle,
            counts.idle,
            format!("of {} customers", counts.customers),
            format!("ask or erase those whose records nobody changed in {days} days"),
        ),
        (
            FindingKind::RetentionOverdue,
            counts.waiting,
            "records".to_owned(),
            "end the requests and holds that keep them: oubliette request list".to_owned(),
        ),
        (
            FindingKind::ConsentsAboutToExpire,
            counts.ending,
            "customers".to_owned(),
            "ask them again before it runs out, or let it end".to_owned(),
        ),
    ];
    for (kind, count, subject, action) in rows {
        if count > 0 {
            found.push(Finding {
                kind,
                subject,
                count,
                action,
            });
        }
    }
}
