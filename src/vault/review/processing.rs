//! The record of processing activities (GDPR art. 30), from the live catalog
//! and from what callers really did.

use super::Usage;
use crate::access::Roles;
use crate::catalog::{Catalog, Form, Purpose, Scope};
use crate::clock::Day;
use crate::id::TenantName;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// A day, as ISO 8601 writes it.
pub(super) fn day(day: Day) -> String {
    let (year, month, day) = day.civil();
    format!("{year:04}-{month:02}-{day:02}")
}

/// A form as a catalog writes it.
pub fn form_text(form: Form) -> String {
    match form.transform() {
        "" => form.kind().to_owned(),
        transform => format!("{}:{transform}", form.kind()),
    }
}

/// What a scope allows, for programs.
pub fn scope_json(catalog: &Catalog, scope: &Scope) -> Json {
    let mut fields = Map::new();
    let mut categories = BTreeSet::new();
    for number in scope.record_types() {
        let Some(record_type) = catalog.record_type_by_number(number) else {
            continue;
        };
        for (number, form) in scope.granted(record_type.number) {
            if let Some(field) = record_type.field_by_number(number) {
                let name = format!("{}.{}", record_type.name, field.name);
                let kept = field.retention.in_words();
                fields.insert(name, json!({ "form": form_text(form), "kept": kept }));
                categories.insert(field.classification.as_str());
            }
        }
    }
    json!({
        "basis": scope.basis.name(),
        "say": scope.mechanism.name(),
        "special_basis": scope.special_basis.map(|basis| basis.name()),
        "categories": categories,
        "fields": fields,
        "callers": scope.callers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "recipients": scope.recipients,
        "places": scope.jurisdictions,
        "retention_days": scope.retention_days,
        "expires": scope.expires.map(day),
        "signals": {
            "gpc": scope.hears.gpc,
            "tcf": scope.hears.tcf,
            "tcf_vendor": scope.hears.tcf_vendor,
        },
    })
}

/// The record, one activity a purpose.
pub fn record(
    catalog: &Catalog,
    (roles, tenant): (&Roles, &TenantName),
    usage: &Usage,
    today: Day,
) -> Json {
    let activities = catalog.purposes().map(|purpose| {
        let observed = observed(catalog, purpose, usage);
        let declared = scope_json(catalog, &purpose.scope);
        let differs = difference(&declared, &observed, (roles, tenant), purpose);
        json!({
            "purpose": purpose.name.to_string(),
            "title": purpose.title,
            "version": purpose.version,
            "dpv": purpose.dpv,
            "fides": purpose.fides,
            "waits_for_a_notice": purpose.waits_for_a_notice(),
            "declared": declared,
            "observed": observed,
            "difference": differs,
        })
    });
    json!({
        "form": "oubliette.v1/processing-record",
        "made": day(today),
        "tenant": tenant.as_str(),
        "catalog": { "version": catalog.version(), "title": catalog.title() },
        "observed_from": day(usage.from.day()),
        "reads": usage.reads,
        "activities": activities.collect::<Vec<_>>(),
    })
}

fn observed(catalog: &Catalog, purpose: &Purpose, usage: &Usage) -> Json {
    let name = purpose.name.as_str();
    let (mut fields, mut services) = (Map::new(), Map::new());
    for ((of, of_type, number), calls) in &usage.fields {
        if of == name {
            let record_type = catalog.record_type(of_type);
            let field =
                record_type.and_then(|t| t.field_by_number(crate::id::FieldNumber(*number)));
            // A field that the catalog has no more is told by its number.
            let field = field.map_or_else(|| number.to_string(), |field| field.name.to_string());
            fields.insert(format!("{of_type}.{field}"), json!(calls));
        }
    }
    for ((service, of), calls) in &usage.services {
        if of == name {
            services.insert(service.clone(), json!(calls));
        }
    }
    json!({ "fields": fields, "services": services })
}

fn keys(of: &Json, name: &str) -> BTreeSet<String> {
    let map = of.get(name).and_then(Json::as_object);
    map.map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

/// What is declared and was not done, and what was done and is not declared any
/// more.
fn difference(
    declared: &Json,
    observed: &Json,
    (roles, tenant): (&Roles, &TenantName),
    purpose: &Purpose,
) -> Json {
    let (told, seen) = (keys(declared, "fields"), keys(observed, "fields"));
    let own = roles.principals().filter(|who| who.tenant() == tenant);
    let callers = &purpose.scope.callers;
    let may: BTreeSet<String> = own
        .filter(|who| who.roles().iter().any(|role| callers.contains(role)))
        .map(|who| who.name().to_string())
        .collect();
    let did = keys(observed, "services");
    json!({
        "fields_never_read": told.difference(&seen).collect::<Vec<_>>(),
        "fields_read_and_not_declared": seen.difference(&told).collect::<Vec<_>>(),
        "services_that_never_read": may.difference(&did).collect::<Vec<_>>(),
        "services_that_read_and_may_not": did.difference(&may).collect::<Vec<_>>(),
    })
}
