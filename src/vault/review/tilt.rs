//! A notice for programs: in the Transparency Information Language (TILT,
//! version 1), from what the notice tells and nothing else. What the catalog does
//! not know is left out or empty, never made up.

use super::processing::{day, form_text};
use crate::catalog::{
    Basis, Catalog, Controller, Field, Mechanism, NoticeVersion, Purpose, RecordType, Retention,
    Scope, SpecialBasis,
};
use crate::error::{Error, Result};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

/// Member states of the European Economic Area: transfers within it are to no
/// third country (GDPR art. 44).
const EEA: [&str; 32] = [
    "EU", "EEA", "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR",
    "HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI",
    "SK",
];

/// One notice that is written as TILT.
pub struct Telling<'a> {
    /// The catalog.
    pub catalog: &'a Catalog,
    /// Who answers for the data.
    pub controller: &'a Controller,
    /// Of which purpose.
    pub purpose: &'a Purpose,
    /// The notice's version: its number and what it says.
    pub version: (u32, &'a NoticeVersion),
    /// In which language (BCP 47).
    pub language: &'a str,
}

impl Telling<'_> {
    /// The document. Its `_hash` is SHA-256 over the rest of it in canonical form
    /// (RFC 8785), without `_hash`.
    pub fn document(&self) -> Result<Json> {
        let controller = self.controller;
        let tells = &self.version.1.tells;
        let by_mail = format!("Write to {}.", controller.email);
        let consents = tells.mechanism == Mechanism::OptIn
            || tells.special_basis == Some(SpecialBasis::ExplicitConsent);
        let mut complain = self.right(true, "Complaints go to the supervisory authority.");
        if let Some(complain) = complain.as_object_mut() {
            let authority = json!({ "name": controller.authority });
            complain.insert("supervisoryAuthority".to_owned(), authority);
        }
        let mut access = self.right(true, &by_mail);
        if let Some(access) = access.as_object_mut() {
            access.insert("dataFormats".to_owned(), json!(["application/json"]));
        }
        let mut document = json!({
            "meta": self.meta(),
            "controller": {
                "name": controller.name,
                "address": controller.address,
                "country": controller.country,
                "representative": {
                    "name": controller.representative,
                    "email": controller.email,
                },
            },
            "dataProtectionOfficer": {
                "name": controller.officer,
                "address": controller.address,
                "country": controller.country,
                "email": controller.officer_email,
            },
            "dataDisclosed": self.data(),
            "thirdCountryTransfers": transfers(tells),
            "accessAndDataPortability": access,
            "sources": [],
            "rightToInformation": self.right(true, &by_mail),
            "rightToRectificationOrDeletion": self.right(true, &by_mail),
            "rightToDataPortability": self.right(is_portable(tells), &by_mail),
            "rightToWithdrawConsent": self.right(consents, &by_mail),
            "rightToComplain": complain,
            "automatedDecisionMaking": {},
            "changesOfPurpose": [],
        });
        let canonical = serde_json_canonicalizer::to_vec(&document)
            .map_err(|_| Error::Internal("a notice in canonical form"))?;
        if let Some(meta) = document.get_mut("meta").and_then(Json::as_object_mut) {
            let hash = hex::encode(Sha256::digest(&canonical));
            meta.insert("_hash".to_owned(), json!(hash));
        }
        Ok(document)
    }

    fn meta(&self) -> Json {
        let (number, version) = self.version;
        let newest = self.purpose.notice.as_ref().and_then(|n| n.newest());
        let is_newest = newest.is_some_and(|(newest, _)| newest == number);
        let name = &self.purpose.name;
        let published = version.published.map(day);
        let language = self.language.split('-').next().unwrap_or_default();
        json!({
            "_id": format!("{name}/notices/{number}/{}", self.language),
            "name": self.controller.name,
            "created": published,
            "modified": published,
            "version": number,
            "language": language.to_ascii_lowercase(),
            "status": if is_newest { "active" } else { "inactive" },
            "url": self.controller.url,
        })
    }

    fn right(&self, available: bool, how: &str) -> Json {
        json!({
            "available": available,
            "description": how,
            "url": self.controller.url,
            "email": self.controller.email,
            "identificationEvidences": [],
        })
    }

    /// One item for each field that the notice tells.
    fn data(&self) -> Vec<Json> {
        let tells = &self.version.1.tells;
        let types = tells.record_types();
        let types = types.filter_map(|number| self.catalog.record_type_by_number(number));
        let mut data = Vec::new();
        for record_type in types {
            for (number, form) in tells.granted(record_type.number) {
                if let Some(field) = record_type.field_by_number(number) {
                    data.push(self.item(record_type, field, &form_text(form)));
                }
            }
        }
        data
    }

    fn item(&self, record_type: &RecordType, field: &Field, form: &str) -> Json {
        let tells = &self.version.1.tells;
        let text = self.version.1.text(self.language).unwrap_or_default();
        let name = format!("{}.{}", record_type.name, field.name);
        let interest = tells.basis == Basis::LegitimateInterest;
        let recipients = tells.recipients.iter();
        let (law, contract) = (
            tells.basis == Basis::LegalObligation,
            tells.basis == Basis::Contract,
        );
        json!({
            "_id": format!("{name} ({form})"),
            "category": field.classification.as_str(),
            "purposes": [{ "purpose": self.purpose.title, "description": text }],
            "legalBases": bases(tells, field.special),
            "legitimateInterests": [{
                "exists": interest,
                "reasoning": if interest { self.purpose.title.as_str() } else { "" },
            }],
            "recipients": recipients.map(|who| json!({ "category": who })).collect::<Vec<_>>(),
            "storage": [storage(tells, field)],
            "nonDisclosure": {
                "legalRequirement": law,
                "contractualRegulation": contract,
                "obligationToProvide": law,
                "consequences": format!("Without it this cannot be done: {}.", self.purpose.title),
            },
        })
    }
}

fn bases(tells: &Scope, special: bool) -> Vec<Json> {
    let letter = match tells.basis {
        Basis::Consent => "a",
        Basis::Contract => "b",
        Basis::LegalObligation => "c",
        Basis::VitalInterests => "d",
        Basis::PublicTask => "e",
        Basis::LegitimateInterest => "f",
    };
    let mut bases = vec![json!({
        "reference": format!("GDPR-6-1-{letter}"),
        "description": tells.basis.name(),
    })];
    if let Some(basis) = tells.special_basis.filter(|_| special) {
        let letter = match basis {
            SpecialBasis::ExplicitConsent => "a",
            SpecialBasis::EmploymentLaw => "b",
            SpecialBasis::VitalInterests => "c",
            SpecialBasis::LegalClaims => "f",
            SpecialBasis::HealthCare => "h",
            SpecialBasis::PublicHealth => "i",
        };
        bases.push(json!({
            "reference": format!("GDPR-9-2-{letter}"),
            "description": basis.name(),
        }));
    }
    bases
}

/// How long: the shorter of what the purpose and the field say.
fn storage(tells: &Scope, field: &Field) -> Json {
    let mut temporal = Vec::new();
    let mut span = |description: String, days: u32| {
        temporal.push(json!({ "description": description, "ttl": format!("P{days}D") }));
    };
    if let Some(days) = tells.retention_days {
        span("after the last change, for this purpose".to_owned(), days);
    }
    let words = field.retention.in_words();
    match field.retention {
        Retention::SinceActivity(days) | Retention::SinceCollection(days) => {
            span(words.clone(), days);
        }
        Retention::Always | Retention::UntilPurposeEnds | Retention::Until(_) => {}
    }
    json!({
        "temporal": temporal,
        "purposeConditional": [words],
        "legalBasisConditional": [],
        "aggregationFunction": "min",
    })
}

/// A right that there is where the basis is consent or a contract (art. 20(1)).
fn is_portable(tells: &Scope) -> bool {
    matches!(tells.basis, Basis::Consent | Basis::Contract)
}

/// Third countries that the data may go to. By which guarantee the catalog does
/// not know.
fn transfers(tells: &Scope) -> Vec<Json> {
    let places = tells.jurisdictions.iter();
    let third = places.filter(|place| !EEA.contains(&place.as_str()));
    third.map(|place| json!({ "country": place })).collect()
}
