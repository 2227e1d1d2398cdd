//! Receipts: what the customer keeps of one event, in the words of the W3C Data
//! Privacy Vocabulary and with the fields of ISO/IEC TS 27560:2023, signed, so
//! that anybody with the vault's public key can check it without the vault.

use super::event::Event;
use super::history::{Speaker, chain};
use super::place;
use crate::access::{Grant, Look, Status};
use crate::audit::{Call, Recorded};
use crate::catalog::{Catalog, Purpose, Scope, SpecialBasis};
use crate::clock::{Day, Instant};
use crate::error::{Error, Result, Violation};
use crate::keys::note;
use crate::secret::SecretText;
use crate::vault::Vault;
use crate::vault::find::customer_name;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A signed receipt and the public key that checks it.
pub struct Receipt {
    /// A C2SP signed note.
    pub note: SecretText,
    /// As C2SP signed-note writes it.
    pub public_key: String,
}

impl Vault {
    /// The receipt of an event; 0: of the newest.
    pub async fn receipt(
        &self,
        call: &Arc<Call>,
        grant: Grant<Look>,
        catalog: &Arc<Catalog>,
        event: u32,
    ) -> Result<Recorded<Receipt>> {
        let (speaker, (event, name)) = self
            .speaker(call, &grant, move |rows, keyring, speaker: &Speaker| {
                let newest = speaker.state.events;
                let wanted = if event == 0 { newest } else { event };
                if wanted == 0 || wanted > newest {
                    let rule = "must be the number of an event of this customer";
                    return Err(Error::invalid(Violation::new("event", rule)));
                }
                let consent = speaker.keys.consent();
                let place = place(keyring.deployment(), &speaker.keys, &consent);
                let mut events = chain(rows, &place, &speaker.state, wanted - 1, 1)?;
                let event = events.pop().ok_or(Error::Internal("an event"))?;
                let name = customer_name(keyring.deployment(), &speaker.keys, &speaker.row)?;
                Ok((event, name))
            })
            .await?;
        let purpose = catalog.purpose_by_number(event.purpose_number);
        let key = self.signing()?;
        let document = document(catalog, purpose, &event, &name, grant.principal().tenant());
        let text = serde_json::to_string_pretty(&document).map_err(|_| Error::Internal("json"))?;
        let receipt = Receipt {
            note: SecretText::new(note::sign(&format!("{text}\n"), key)),
            public_key: key.public().to_string(),
        };
        self.looked(call, &grant, &speaker, receipt).await
    }
}

fn day(day: Day) -> String {
    let (year, month, day) = day.civil();
    format!("{year:04}-{month:02}-{day:02}")
}

/// RFC 3339, to the second.
fn time(micros: i64) -> String {
    let seconds = Instant::from_micros(micros).seconds();
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |at| at.to_string())
}

/// The status in the vocabulary's words.
fn status_iri(status: Status) -> &'static str {
    match status {
        Status::Unknown => "dpv:ConsentUnknown",
        Status::Requested => "dpv:ConsentRequested",
        Status::Refused => "dpv:ConsentRefused",
        Status::Given => "dpv:ConsentGiven",
        Status::Renewed => "dpv:RenewedConsentGiven",
        Status::Withdrawn => "dpv:ConsentWithdrawn",
        Status::Expired => "dpv:ConsentExpired",
        Status::Revoked => "dpv:ConsentRevoked",
        Status::Invalidated => "dpv:ConsentInvalidated",
        Status::Objected => "dpv:RightExercised",
        Status::Asserted => "dpv:ProcessPermitted",
    }
}

/// The legal basis in the vocabulary's GDPR extension.
fn basis_iri(scope: &Scope, is_explicit: bool) -> &'static str {
    use crate::catalog::Basis::*;
    if is_explicit && scope.special_basis == Some(SpecialBasis::ExplicitConsent) {
        return "eu-gdpr:A9-2-a";
    }
    match scope.basis {
        Consent => "eu-gdpr:A6-1-a",
        Contract => "eu-gdpr:A6-1-b",
        LegalObligation => "eu-gdpr:A6-1-c",
        VitalInterests => "eu-gdpr:A6-1-d",
        PublicTask => "eu-gdpr:A6-1-e",
        LegitimateInterest => "eu-gdpr:A6-1-f",
    }
}

/// What may be read of which kind of data.
fn personal_data(catalog: &Catalog, scope: &Scope) -> Vec<Json> {
    let types = catalog.record_types();
    let fields = types.flat_map(|record_type| {
        let granted = scope.granted(record_type.number);
        granted.filter_map(|(number, form)| {
            let field = record_type.field_by_number(number)?;
            let shown = format!("{} {}", form.kind(), form.transform());
            Some(json!({
                "@type": "dpv:PersonalData",
                "dct:title": format!("{}.{}", record_type.name, field.name),
                "dct:subject": field.classification.as_str(),
                "dpv:hasTechnicalOrganisationalMeasure": shown.trim_end(),
            }))
        })
    });
    fields.collect()
}

fn document(
    catalog: &Catalog,
    purpose: Option<&Arc<Purpose>>,
    event: &Event,
    name: &SecretText,
    controller: &crate::id::TenantName,
) -> Json {
    let identifier = format!("{}/consent-events/{}", name.expose(), event.number);
    json!({
        "@context": {
            "dct": "http://purl.org/dc/terms/",
            "dpv": "https://w3id.org/dpv#",
            "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
            "schema": "https://schema.org/",
        },
        "@type": "dpv:ConsentReceipt",
        "dct:identifier": format!("{identifier}/receipt"),
        "dct:conformsTo": "https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr",
        "dct:created": time(event.recorded),
        "dct:publisher": controller.as_str(),
        "schema:recipient": "dpv:DataSubject",
        "dpv:hasRecordOfActivity": record(catalog, purpose, event, name, controller, &identifier),
    })
}

fn record<'a>(
    catalog: &Catalog,
    purpose: Option<&'a Arc<Purpose>>,
    event: &Event,
    name: &SecretText,
    controller: &crate::id::TenantName,
    identifier: &str,
) -> Json {
    // What the person was told then, not what the catalog says today.
    let told = |purpose: &'a Arc<Purpose>| purpose.notice.as_ref()?.version(event.notice);
    let scope = purpose.and_then(told).map(|notice| &notice.tells);
    json!({
        "@type": "dpv:ConsentRecord",
        "dct:identifier": identifier,
        "dct:conformsTo": "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr",
        "dpv:hasDataSubject": { "@id": name.expose() },
        "dpv:hasDataController": controller.as_str(),
        "dpv:hasApplicableLaw": "eu-gdpr:GDPR",
        "dpv:hasJurisdiction": scope.map_or(&[][..], |s| &s.jurisdictions),
        "dpv:hasLegalBasis": scope.map(|s| basis_iri(s, event.explicit)),
        "dpv:hasNotice": {
            "@type": "dpv:ConsentNotice",
            "dct:identifier": format!("{}/notices/{}", event.purpose, event.notice),
            "dct:language": event.language,
            "schema:sha256": event.notice_hash,
        },
        "dpv:hasProcess": {
            "@type": "dpv:Process",
            "dct:title": purpose.map_or(event.purpose.as_str(), |p| p.title.as_str()),
            "dct:identifier": format!("{}@{}", event.purpose, event.purpose_version),
            "dct:hasVersion": event.catalog.to_string(),
            "dpv:hasPurpose": purpose.and_then(|p| p.dpv.as_deref()),
            "dpv:hasPersonalData": scope.map_or_else(Vec::new, |s| personal_data(catalog, s)),
            "dpv:hasRecipient": scope.map_or(&[][..], |s| &s.recipients),
            "dpv:hasStorageCondition": scope.and_then(|s| s.retention_days).map(|days| json!({
                "@type": "dpv:StorageDuration",
                "dpv:hasDuration": format!("P{days}D"),
            })),
        },
        "dpv:hasConsentControl": {
            "@type": "dpv:WithdrawConsent",
            "dct:title": "oubliette.v1.ConsentService/WithdrawConsent",
        },
        "dpv:hasConsentStatus": {
            "@type": status_iri(event.status()),
            "dpv:isIndicatedAtTime": time(event.said),
            "dpv:isIndicatedBy":
                if event.actor.is_empty() { "dpv:DataSubject" } else { event.actor.as_str() },
            "dpv:hasIndicationMethod": event.method,
            "dpv:hasExpiry": event.expires.map(|expires| day(Day(expires))),
            "schema:sha256": event.evidence,
        },
    })
}
