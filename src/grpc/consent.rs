//! ConsentService.

use super::call::Guarded;
use super::value::{date, day};
use crate::access::{
    Action, AnswerAsk, Grant, ImportAsk, Look, Method, Say, ShownNotice, SignalAsk, Standing,
    Status, Untaken,
};
use crate::catalog::Purpose;
use crate::clock::Instant;
use crate::error::{Error, Result, Violation};
use crate::id::{CustomerId, RequestId};
use crate::limits;
use crate::pb;
use crate::pb::consent_service_server::ConsentService;
use crate::secret::{SecretBytes, SecretText};
use crate::vault::{Event, Imported, PurposeView, Said, Vault};
use tonic::{Request, Response, Status as Refusal};

/// The service over a vault.
pub struct Consent {
    /// The vault.
    pub vault: Vault,
}

type Reply<T> = std::result::Result<Response<T>, Refusal>;

fn wrong<T>(field: &str, rule: &str) -> Result<T> {
    Err(Error::invalid(Violation::new(field, rule)))
}

fn method_of(method: i32) -> Result<Method> {
    use pb::ConsentMethod as Wire;
    match Wire::try_from(method) {
        Ok(Wire::Form) => Ok(Method::Form),
        Ok(Wire::Written) => Ok(Method::Written),
        Ok(Wire::Spoken) => Ok(Method::Spoken),
        Ok(Wire::Link) => Ok(Method::Link),
        Ok(Wire::Signal) => Ok(Method::Signal),
        Ok(Wire::Dismiss) => Ok(Method::Dismiss),
        Ok(Wire::Silence) => Ok(Method::Silence),
        Ok(Wire::ContinuedUse) => Ok(Method::ContinuedUse),
        Ok(Wire::Unspecified) | Err(_) => {
            wrong("method", "must be a method that this server knows")
        }
    }
}

fn method_named(name: &str) -> pb::ConsentMethod {
    let wire =
        pb::ConsentMethod::from_str_name(&format!("CONSENT_METHOD_{}", name.to_ascii_uppercase()));
    wire.unwrap_or(pb::ConsentMethod::Unspecified)
}

fn status(status: Status) -> pb::ConsentStatus {
    match status {
        Status::Unknown => pb::ConsentStatus::Unknown,
        Status::Requested => pb::ConsentStatus::Requested,
        Status::Refused => pb::ConsentStatus::Refused,
        Status::Given => pb::ConsentStatus::Given,
        Status::Renewed => pb::ConsentStatus::Renewed,
        Status::Withdrawn => pb::ConsentStatus::Withdrawn,
        Status::Expired => pb::ConsentStatus::Expired,
        Status::Revoked => pb::ConsentStatus::Revoked,
        Status::Invalidated => pb::ConsentStatus::Invalidated,
        Status::Objected => pb::ConsentStatus::Objected,
        Status::Asserted => pb::ConsentStatus::Asserted,
    }
}

fn timestamp(micros: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// When it was said; now where the request does not say.
fn said_at(at: Option<prost_types::Timestamp>, now: Instant) -> Result<Instant> {
    let Some(at) = at else {
        return Ok(now);
    };
    let micros = at
        .seconds
        .checked_mul(1_000_000)
        .filter(|_| (0..1_000_000_000).contains(&at.nanos) && at.seconds >= 0)
        .and_then(|micros| micros.checked_add(i64::from(at.nanos) / 1_000));
    match micros {
        Some(micros) => Ok(Instant::from_micros(micros)),
        None => wrong("event_time", "must be an instant after 1970"),
    }
}

fn state(
    purpose: &Purpose,
    standing: &Standing,
    explicit: &Standing,
    denied_by: &str,
) -> pb::PurposeState {
    pb::PurposeState {
        purpose: purpose.name.to_string(),
        basis: purpose.scope.basis.name().to_owned(),
        status: status(standing.status).into(),
        explicit_status: status(explicit.status).into(),
        expire_date: standing.expires.map(date),
        notice_version: standing.notice.cast_signed(),
        denied_by: denied_by.to_owned(),
    }
}

fn view(of: &PurposeView) -> pb::PurposeState {
    state(&of.purpose, &of.standing, &of.explicit, of.denied_by)
}

fn event(event: &Event) -> pb::ConsentEvent {
    pb::ConsentEvent {
        number: event.number.into(),
        record_time: Some(timestamp(event.recorded)),
        event_time: Some(timestamp(event.said)),
        purpose: event.purpose.clone(),
        status: status(event.status()).into(),
        explicit: event.explicit,
        notice_version: event.notice.cast_signed(),
        language: event.language.clone(),
        notice_hash: event.notice_hash.clone(),
        method: method_named(&event.method).into(),
        channel: event.channel.clone(),
        actor: event.actor.clone(),
        evidence: event.evidence.clone(),
        principal: event.principal.clone(),
        signal: event.signal.clone(),
    }
}

fn outcome(untaken: Option<Untaken>) -> pb::ImportOutcome {
    match untaken {
        None => pb::ImportOutcome::Recorded,
        Some(Untaken::NotSaid) => pb::ImportOutcome::NotSaid,
        Some(Untaken::NoNotice) => pb::ImportOutcome::NoNotice,
        Some(Untaken::NeedsConfirmation) => pb::ImportOutcome::NeedsConfirmation,
        Some(Untaken::TooOld) => pb::ImportOutcome::TooOld,
        Some(Untaken::Stands) => pb::ImportOutcome::Stands,
        Some(Untaken::StricterStands) => pb::ImportOutcome::StricterStands,
    }
}

fn imported(of: &Imported) -> pb::ImportedPurpose {
    let said = &of.said;
    let (standing, explicit) = (&said.standing, &said.explicit);
    pb::ImportedPurpose {
        outcome: outcome(of.untaken).into(),
        event: said.event.into(),
        state: Some(state(&of.purpose, standing, explicit, said.denied_by)),
    }
}

/// The notices that were shown, one a purpose at most.
fn shown(notices: Vec<pb::ShownNotice>) -> Result<Vec<ShownNotice>> {
    if notices.len() > limits::CATALOG_ENTRIES {
        return wrong("notices", "must be at most 256");
    }
    let notices = notices.into_iter();
    let one = |notice: pb::ShownNotice| match u32::try_from(notice.notice_version) {
        Ok(version) => Ok(ShownNotice {
            purpose: notice.purpose,
            version,
            language: notice.language,
        }),
        Err(_) => wrong("notices", "must have versions that are not negative"),
    };
    notices.map(one).collect()
}

impl Consent {
    async fn answer(
        &self,
        guarded: &Guarded,
        asked: pb::RecordConsentRequest,
    ) -> Result<(pb::PurposeState, i64)> {
        guarded.asks("", &asked.purpose);
        guarded.about(&asked.name);
        let customer = CustomerId::parse_name("name", &asked.name)?;
        let request = RequestId::parse(&asked.request_id)?;
        let status = match asked.decision() {
            pb::ConsentDecision::Requested => Status::Requested,
            pb::ConsentDecision::Given => Status::Given,
            pb::ConsentDecision::Refused => Status::Refused,
            pb::ConsentDecision::Unspecified => {
                return wrong("decision", "must be REQUESTED, GIVEN or REFUSED");
            }
        };
        let Ok(notice) = u32::try_from(asked.notice_version) else {
            return wrong("notice_version", "must not be negative");
        };
        let now = guarded.call.time;
        let ask = AnswerAsk {
            status,
            explicit: asked.explicit,
            notice,
            language: asked.language,
            method: method_of(asked.method)?,
            channel: asked.channel,
            actor: asked.actor,
            evidence: SecretBytes::new(asked.evidence),
            expires: day("expire_date", asked.expire_date)?,
            said: said_at(asked.event_time, now)?,
        };
        let of = (customer, asked.purpose.as_str());
        let grant = guarded.rules.answer(&guarded.principal, of, ask, now)?;
        self.say(guarded, grant, request).await
    }

    /// Puts it on record; answers what stands of the purpose now.
    async fn say(
        &self,
        guarded: &Guarded,
        grant: Grant<Say>,
        request: RequestId,
    ) -> Result<(pb::PurposeState, i64)> {
        let purpose = grant.target().purpose.clone();
        let Said {
            standing,
            explicit,
            event,
            denied_by,
        } = self.vault.say(&guarded.call, grant, request).await?;
        let state = state(&purpose, &standing, &explicit, denied_by);
        Ok((state, event.into()))
    }

    /// Whom and what a request is about.
    fn of<'a>(
        guarded: &Guarded,
        name: &str,
        purpose: &'a str,
        request_id: &str,
    ) -> Result<((CustomerId, &'a str), RequestId)> {
        guarded.asks("", purpose);
        guarded.about(name);
        let customer = CustomerId::parse_name("name", name)?;
        Ok(((customer, purpose), RequestId::parse(request_id)?))
    }

    async fn withdraw(
        &self,
        guarded: &Guarded,
        asked: pb::WithdrawConsentRequest,
    ) -> Result<(pb::PurposeState, i64)> {
        let (of, request) = Self::of(guarded, &asked.name, &asked.purpose, &asked.request_id)?;
        let (who, now) = (&guarded.principal, guarded.call.time);
        let grant = guarded.rules.withdraw(who, of, now)?;
        self.say(guarded, grant, request).await
    }

    async fn objection(
        &self,
        guarded: &Guarded,
        asked: pb::ObjectRequest,
    ) -> Result<(pb::PurposeState, i64)> {
        let (of, request) = Self::of(guarded, &asked.name, &asked.purpose, &asked.request_id)?;
        let (who, now) = (&guarded.principal, guarded.call.time);
        let grant = guarded.rules.object(who, of, now)?;
        self.say(guarded, grant, request).await
    }

    async fn basis(
        &self,
        guarded: &Guarded,
        asked: pb::AssertBasisRequest,
    ) -> Result<(pb::PurposeState, i64)> {
        let (of, request) = Self::of(guarded, &asked.name, &asked.purpose, &asked.request_id)?;
        let basis = (asked.in_force, day("expire_date", asked.expire_date)?);
        let (who, now) = (&guarded.principal, guarded.call.time);
        let grant = guarded.rules.assert_basis(who, of, basis, now)?;
        self.say(guarded, grant, request).await
    }

    async fn signal(
        &self,
        guarded: &Guarded,
        asked: pb::ImportSignalRequest,
    ) -> Result<pb::ImportSignalResponse> {
        guarded.about(&asked.name);
        let customer = CustomerId::parse_name("name", &asked.name)?;
        let request = RequestId::parse(&asked.request_id)?;
        let signal = match asked.signal {
            Some(pb::import_signal_request::Signal::Gpc(value)) => SignalAsk::Gpc(value),
            Some(pb::import_signal_request::Signal::Tcf(text)) => {
                SignalAsk::Tcf(SecretText::new(text))
            }
            None => return wrong("signal", "must be gpc or tcf"),
        };
        let ask = ImportAsk {
            signal,
            channel: asked.channel,
            notices: shown(asked.notices)?,
        };
        let (who, now) = (&guarded.principal, guarded.call.time);
        let grant = guarded.rules.import(who, customer, ask, now)?;
        let became = self.vault.import(&guarded.call, grant, request).await?;
        Ok(pb::ImportSignalResponse {
            purposes: became.iter().map(imported).collect(),
        })
    }

    fn look(guarded: &Guarded, action: Action, name: &str) -> Result<Grant<Look>> {
        guarded.about(name);
        let customer = CustomerId::parse_name("name", name)?;
        guarded.rules.look(&guarded.principal, action, customer)
    }

    async fn state(
        &self,
        guarded: &Guarded,
        asked: pb::GetConsentStateRequest,
    ) -> Result<pb::GetConsentStateResponse> {
        let grant = Self::look(guarded, Action::GetConsentState, &asked.name)?;
        let catalog = guarded.rules.catalog();
        let seen = self
            .vault
            .consent_state(&guarded.call, grant, catalog)
            .await?;
        let seen = seen.release();
        Ok(pb::GetConsentStateResponse {
            purposes: seen.purposes.iter().map(view).collect(),
            restricted: seen.restricted,
            held: seen.held,
        })
    }

    async fn history(
        &self,
        guarded: &Guarded,
        asked: pb::ListConsentHistoryRequest,
    ) -> Result<pb::ListConsentHistoryResponse> {
        let grant = Self::look(guarded, Action::ListConsentHistory, &asked.name)?;
        let most = match usize::try_from(asked.page_size) {
            Ok(0) => limits::LIST_PAGE_DEFAULT,
            Ok(size) => size.min(limits::LIST_PAGE_MAX),
            Err(_) => return wrong("page_size", "must not be negative"),
        };
        let token = &asked.page_token;
        let history = self
            .vault
            .consent_history(&guarded.call, grant, token, most);
        let history = history.await?.release();
        Ok(pb::ListConsentHistoryResponse {
            events: history.events.iter().map(event).collect(),
            next_page_token: history.next,
        })
    }

    async fn receipt(
        &self,
        guarded: &Guarded,
        asked: pb::GetReceiptRequest,
    ) -> Result<pb::GetReceiptResponse> {
        let grant = Self::look(guarded, Action::GetReceipt, &asked.name)?;
        let Ok(event) = u32::try_from(asked.event) else {
            return wrong("event", "must be the number of an event, or 0");
        };
        let catalog = guarded.rules.catalog();
        let receipt = self.vault.receipt(&guarded.call, grant, catalog, event);
        let receipt = receipt.await?.release();
        Ok(pb::GetReceiptResponse {
            receipt: receipt.note.expose().to_owned(),
            public_key: receipt.public_key,
        })
    }
}

#[tonic::async_trait]
impl ConsentService for Consent {
    async fn record_consent(
        &self,
        request: Request<pb::RecordConsentRequest>,
    ) -> Reply<pb::RecordConsentResponse> {
        let guarded = Guarded::of(&request)?;
        let said = self.answer(&guarded, request.into_inner()).await;
        guarded.answer(said.map(|(state, event)| pb::RecordConsentResponse {
            state: Some(state),
            event,
        }))
    }

    async fn withdraw_consent(
        &self,
        request: Request<pb::WithdrawConsentRequest>,
    ) -> Reply<pb::WithdrawConsentResponse> {
        let guarded = Guarded::of(&request)?;
        let said = self.withdraw(&guarded, request.into_inner()).await;
        guarded.answer(said.map(|(state, event)| pb::WithdrawConsentResponse {
            state: Some(state),
            event,
        }))
    }

    async fn object(&self, request: Request<pb::ObjectRequest>) -> Reply<pb::ObjectResponse> {
        let guarded = Guarded::of(&request)?;
        let said = self.objection(&guarded, request.into_inner()).await;
        guarded.answer(said.map(|(state, event)| pb::ObjectResponse {
            state: Some(state),
            event,
        }))
    }

    async fn assert_basis(
        &self,
        request: Request<pb::AssertBasisRequest>,
    ) -> Reply<pb::AssertBasisResponse> {
        let guarded = Guarded::of(&request)?;
        let said = self.basis(&guarded, request.into_inner()).await;
        guarded.answer(said.map(|(state, event)| pb::AssertBasisResponse {
            state: Some(state),
            event,
        }))
    }

    async fn import_signal(
        &self,
        request: Request<pb::ImportSignalRequest>,
    ) -> Reply<pb::ImportSignalResponse> {
        let guarded = Guarded::of(&request)?;
        let became = self.signal(&guarded, request.into_inner()).await;
        guarded.answer(became)
    }

    async fn get_consent_state(
        &self,
        request: Request<pb::GetConsentStateRequest>,
    ) -> Reply<pb::GetConsentStateResponse> {
        let guarded = Guarded::of(&request)?;
        let seen = self.state(&guarded, request.into_inner()).await;
        guarded.answer(seen)
    }

    async fn list_consent_history(
        &self,
        request: Request<pb::ListConsentHistoryRequest>,
    ) -> Reply<pb::ListConsentHistoryResponse> {
        let guarded = Guarded::of(&request)?;
        let seen = self.history(&guarded, request.into_inner()).await;
        guarded.answer(seen)
    }

    async fn get_receipt(
        &self,
        request: Request<pb::GetReceiptRequest>,
    ) -> Reply<pb::GetReceiptResponse> {
        let guarded = Guarded::of(&request)?;
        let seen = self.receipt(&guarded, request.into_inner()).await;
        guarded.answer(seen)
    }
}
