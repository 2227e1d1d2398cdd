//! ReviewService.

use super::call::Guarded;
use super::value::{date, timestamp};
use crate::access::{Action, Grant, Review as Looking};
use crate::catalog::{Catalog, Controller, NoticeVersion};
use crate::error::{Error, Missing, Result, Violation};
use crate::limits;
use crate::pb;
use crate::pb::review_service_server::ReviewService;
use crate::vault::{FindingKind, Telling, Usage, Vault, form_text, processing_record, scope_json};
use std::collections::BTreeMap;
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Review {
    /// The vault.
    pub vault: Vault,
}

type Reply<T> = std::result::Result<Response<T>, Status>;

fn wrong<T>(field: &str, rule: impl Into<String>) -> Result<T> {
    Err(Error::invalid(Violation::new(field, rule)))
}

fn kind(kind: FindingKind) -> pb::FindingKind {
    match kind {
        FindingKind::FieldNeverRead => pb::FindingKind::FieldNeverRead,
        FindingKind::PurposeWiderThanUse => pb::FindingKind::PurposeWiderThanUse,
        FindingKind::RawWhereLessMightDo => pb::FindingKind::RawWhereLessMightDo,
        FindingKind::GrantNeverUsed => pb::FindingKind::GrantNeverUsed,
        FindingKind::BasisGone => pb::FindingKind::BasisGone,
        FindingKind::CustomersIdle => pb::FindingKind::CustomersIdle,
        FindingKind::RetentionOverdue => pb::FindingKind::RetentionOverdue,
        FindingKind::ConsentsAboutToExpire => pb::FindingKind::ConsentsAboutToExpire,
    }
}

fn days(asked: i32) -> Result<u32> {
    match u32::try_from(asked) {
        Ok(0) => Ok(limits::REVIEW_DAYS),
        Ok(days) if days <= limits::RETENTION_DAYS => Ok(days),
        _ => wrong(
            "days",
            format!("must be 1 to {}, or 0", limits::RETENTION_DAYS),
        ),
    }
}

fn counts(counts: BTreeMap<&str, u64>) -> Vec<pb::UseCount> {
    let counts = counts.into_iter();
    let count = |(name, calls): (&str, u64)| pb::UseCount {
        name: name.to_owned(),
        calls: calls.cast_signed(),
    };
    counts.map(count).collect()
}

/// Who answers for the data of the caller's tenant, for a notice that is told.
fn controller<'a>(guarded: &'a Guarded, version: &NoticeVersion) -> Result<&'a Controller> {
    if version.published.is_none() {
        return wrong("tilt", "must be false for a draft: it tells nothing yet");
    }
    let tenant = guarded.principal.tenant();
    match guarded.rules.catalog().controller(tenant) {
        Some(controller) => Ok(controller),
        None => wrong(
            "tilt",
            format!("needs [controllers.{tenant}] in catalog.toml: who answers for the data"),
        ),
    }
}

/// Every field that a purpose may see, and how often it looked.
fn uses(catalog: &Catalog, usage: &Usage) -> Vec<pb::PurposeField> {
    let mut uses = Vec::new();
    for record_type in catalog.record_types() {
        let of_type = record_type.name.as_str();
        for field in record_type.fields() {
            let reads = usage.of_field(of_type, field.number.0);
            for purpose in catalog.purposes() {
                let ceiling = purpose.scope.ceiling(record_type.number, field.number);
                let name = purpose.name.as_str();
                uses.extend(ceiling.map(|form| pb::PurposeField {
                    purpose: name.to_owned(),
                    field: format!("{of_type}.{}", field.name),
                    form: form_text(form),
                    calls: reads.get(name).copied().unwrap_or(0).cast_signed(),
                }));
            }
        }
    }
    uses
}

/// What was said of purposes, by customers and by their signals.
fn consents(catalog: &Catalog, usage: &Usage) -> Vec<pb::ConsentDay> {
    let mut said = usage.said.clone();
    for ((number, day), (yes, no)) in &usage.signalled {
        if let Some(purpose) = catalog.purpose_by_number(*number) {
            let sums = said.entry((purpose.name.to_string(), *day)).or_default();
            (sums.0, sums.1) = (sums.0 + yes, sums.1 + no);
        }
    }
    let said = said.into_iter().filter(|(_, sums)| *sums != (0, 0));
    said.map(|((purpose, day), (yes, no))| pb::ConsentDay {
        purpose,
        day_time: Some(prost_types::Timestamp {
            seconds: i64::from(day.0) * 86_400,
            nanos: 0,
        }),
        given: yes.cast_signed(),
        ended: no.cast_signed(),
    })
    .collect()
}

fn looking(guarded: &Guarded, action: Action) -> Result<Grant<Looking>> {
    guarded.rules.review(&guarded.principal, action)
}

impl Review {
    async fn review(
        &self,
        guarded: &Guarded,
        asked: pb::GetReviewRequest,
    ) -> Result<pb::GetReviewResponse> {
        let days = days(asked.days)?;
        let grant = looking(guarded, Action::GetReview)?;
        let (catalog, roles) = (guarded.rules.catalog(), guarded.rules.roles());
        let seen = self
            .vault
            .review(&guarded.call, &grant, (catalog, roles), days);
        let seen = seen.await?.release();
        let findings = seen.findings.into_iter().map(|finding| pb::Finding {
            kind: kind(finding.kind).into(),
            subject: finding.subject,
            count: finding.count.cast_signed(),
            action: finding.action,
        });
        let mut fields = Vec::new();
        for record_type in catalog.record_types() {
            for field in record_type.fields() {
                let reads = seen
                    .usage
                    .of_field(record_type.name.as_str(), field.number.0);
                fields.push(pb::UseCount {
                    name: format!("{}.{}", record_type.name, field.name),
                    calls: reads.values().sum::<u64>().cast_signed(),
                });
            }
        }
        Ok(pb::GetReviewResponse {
            uses: uses(catalog, &seen.usage),
            consents: consents(catalog, &seen.usage),
            findings: findings.collect(),
            purposes: counts(seen.usage.purposes()),
            fields,
            entries: seen.usage.entries.cast_signed(),
            from_time: Some(timestamp(seen.usage.from)),
        })
    }

    async fn plan_drop(
        &self,
        guarded: &Guarded,
        asked: pb::PlanFieldDropRequest,
    ) -> Result<pb::PlanFieldDropResponse> {
        let days = days(asked.days)?;
        let catalog = guarded.rules.catalog();
        let grant = looking(guarded, Action::PlanFieldDrop)?;
        let Some(record_type) = catalog.record_type(&asked.record_type) else {
            return wrong("record_type", "must be a record type of the catalog");
        };
        let Some(field) = record_type.field(&asked.field) else {
            return wrong("field", "must be a field of the record type");
        };
        let usage = self.vault.reads_of(&guarded.call, &grant, days);
        let usage = usage.await?.release();
        let (of_type, number) = (record_type.name.as_str(), field.number.0);
        let purposes = usage.of_field(of_type, number);
        Ok(pb::PlanFieldDropResponse {
            reads: usage.reads.cast_signed(),
            opened: purposes.values().sum::<u64>().cast_signed(),
            purposes: counts(purposes),
            services: counts(usage.services_of_field(of_type, number)),
            from_time: Some(timestamp(usage.from)),
        })
    }

    async fn notice(
        &self,
        guarded: &Guarded,
        asked: pb::GetNoticeRequest,
    ) -> Result<pb::GetNoticeResponse> {
        let grant = looking(guarded, Action::GetNotice)?;
        let catalog = guarded.rules.catalog();
        let Some(purpose) = catalog.purpose(&asked.purpose) else {
            return wrong("purpose", "must be a purpose of the catalog");
        };
        let notice = purpose.notice.as_ref();
        let notice = notice.ok_or(Error::NotFound(Missing::Notice))?;
        let found = match u32::try_from(asked.version) {
            Ok(0) => notice.newest(),
            Ok(number) => notice.version(number).map(|version| (number, version)),
            Err(_) => return wrong("version", "must not be negative"),
        };
        let (number, version) = found.ok_or(Error::NotFound(Missing::Notice))?;
        let tilt = match asked.tilt {
            true => Some(controller(guarded, version)?),
            false => None,
        };
        let is_asked = |language: &&str| asked.language.is_empty() || asked.language == **language;
        let texts = version.languages().filter(is_asked);
        let texts = texts.map(|language| {
            let telling = tilt.map(|controller| Telling {
                catalog,
                controller,
                purpose,
                version: (number, version),
                language,
            });
            let document = telling.map(|telling| telling.document()).transpose()?;
            Ok(pb::NoticeText {
                language: language.to_owned(),
                text: version.text(language).unwrap_or_default().to_owned(),
                hash: version.hash(language).map(hex::encode).unwrap_or_default(),
                tilt: document.map_or_else(String::new, |document| document.to_string()),
            })
        });
        let texts: Vec<pb::NoticeText> = texts.collect::<Result<_>>()?;
        if texts.is_empty() {
            return wrong("language", "must be a language of the notice");
        }
        let reply = pb::GetNoticeResponse {
            version: number.cast_signed(),
            publish_date: version.published.map(date),
            material: version.material,
            texts,
            tells: scope_json(catalog, &version.tells).to_string(),
            versions: notice.versions().map(|(n, _)| n.cast_signed()).collect(),
        };
        self.vault.shown(&guarded.call, &grant, reply).await
    }

    async fn record(
        &self,
        guarded: &Guarded,
        asked: pb::GetProcessingRecordRequest,
    ) -> Result<pb::GetProcessingRecordResponse> {
        let days = days(asked.days)?;
        let grant = looking(guarded, Action::GetProcessingRecord)?;
        let usage = self.vault.reads_of(&guarded.call, &grant, days);
        let usage = usage.await?.release();
        let (catalog, roles) = (guarded.rules.catalog(), guarded.rules.roles());
        let who = (roles, guarded.principal.tenant());
        let record = processing_record(catalog, who, &usage, guarded.today);
        Ok(pb::GetProcessingRecordResponse {
            document: record.to_string(),
        })
    }
}

#[tonic::async_trait]
impl ReviewService for Review {
    async fn get_review(
        &self,
        request: Request<pb::GetReviewRequest>,
    ) -> Reply<pb::GetReviewResponse> {
        let guarded = Guarded::of(&request)?;
        let seen = self.review(&guarded, request.into_inner()).await;
        guarded.answer(seen)
    }

    async fn plan_field_drop(
        &self,
        request: Request<pb::PlanFieldDropRequest>,
    ) -> Reply<pb::PlanFieldDropResponse> {
        let guarded = Guarded::of(&request)?;
        let planned = self.plan_drop(&guarded, request.into_inner()).await;
        guarded.answer(planned)
    }

    async fn get_notice(
        &self,
        request: Request<pb::GetNoticeRequest>,
    ) -> Reply<pb::GetNoticeResponse> {
        let guarded = Guarded::of(&request)?;
        let shown = self.notice(&guarded, request.into_inner()).await;
        guarded.answer(shown)
    }

    async fn get_processing_record(
        &self,
        request: Request<pb::GetProcessingRecordRequest>,
    ) -> Reply<pb::GetProcessingRecordResponse> {
        let guarded = Guarded::of(&request)?;
        let written = self.record(&guarded, request.into_inner()).await;
        guarded.answer(written)
    }
}
