//! RightsService.

use super::call::Guarded;
use super::certificates::certificate;
use super::export::{Parts, make};
use super::stream::Places;
use super::value::date;
use crate::access::Action;
use crate::error::{Error, Result, Violation};
use crate::id::{CustomerId, RequestId, RequestNumber};
use crate::limits;
use crate::pb;
use crate::pb::rights_service_server::RightsService;
use crate::vault::Vault;
use crate::vault::rights::clock::{Regime, Warning};
use crate::vault::rights::request::{Denied, Event, Kind, State, is_justification};
use crate::vault::rights::{Asked, RequestView, parse_token, token};
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Rights {
    /// The vault.
    pub vault: Vault,
    /// Room for exports.
    pub streams: Places,
}

type Reply<T> = std::result::Result<Response<T>, Status>;

fn unknown(field: &'static str) -> Error {
    let rule = "must be a value that this server knows";
    Error::invalid(Violation::new(field, rule))
}

/// A text of the person or for them.
fn words(field: &'static str, text: String, least: usize) -> Result<String> {
    if (least..=limits::RIGHTS_TEXT_BYTES).contains(&text.len()) {
        return Ok(text);
    }
    let most = limits::RIGHTS_TEXT_BYTES;
    let rule = format!("must be {least} to {most} bytes");
    Err(Error::invalid(Violation::new(field, rule)))
}

fn kind_of(kind: i32) -> Result<Kind> {
    let number = u8::try_from(kind).ok();
    let kind = number.and_then(Kind::numbered);
    kind.ok_or_else(|| unknown("kind"))
}

fn regime_of(regime: i32) -> Result<Regime> {
    let mut all = Regime::ALL.into_iter();
    let found = all.find(|one| i32::from(*one as u8) == regime);
    found.ok_or_else(|| unknown("regimes"))
}

/// A step-up is recorded, and nothing is collected for it.
fn check_of(check: i32) -> Result<Event> {
    Ok(match pb::IdentityCheck::try_from(check) {
        Ok(pb::IdentityCheck::MoreNeeded) => Event::AskVerification,
        Ok(pb::IdentityCheck::SignedIn) => Event::Verify("signed in".to_owned()),
        Ok(pb::IdentityCheck::KnownContact) => Event::Verify("known contact".to_owned()),
        Ok(pb::IdentityCheck::KnownData) => Event::Verify("known data".to_owned()),
        Ok(pb::IdentityCheck::InPerson) => Event::Verify("in person".to_owned()),
        Ok(pb::IdentityCheck::Unspecified) | Err(_) => return Err(unknown("check")),
    })
}

fn message(view: RequestView) -> pb::RightsRequest {
    let request = view.request;
    let regimes = request.regimes();
    let denied = request.content.denied;
    let (denial_code, denial_text) = denied.map_or_else(Default::default, |d| (d.code, d.text));
    let steps = request.content.steps.into_iter();
    pb::RightsRequest {
        name: view.number.text(),
        customer: view
            .customer
            .map_or_else(String::new, |name| name.expose().to_owned()),
        kind: i32::from(request.kind as u8),
        state: i32::from(request.state as u8),
        receive_date: Some(date(request.received)),
        due_date: request.due.map(date),
        extended: request.extended,
        warning: match view.warning {
            Warning::None => pb::RequestWarning::Unspecified.into(),
            Warning::Half => pb::RequestWarning::Half.into(),
            Warning::Soon => pb::RequestWarning::Soon.into(),
            Warning::Over => pb::RequestWarning::Over.into(),
        },
        regimes: regimes
            .into_iter()
            .map(|one| i32::from(one as u8))
            .collect(),
        text: request.content.text,
        denial_code,
        denial_text,
        steps: steps
            .map(|step| pb::RequestStep {
                time_micros: step.time,
                principal: step.by,
                what: step.what,
                text: step.text,
            })
            .collect(),
    }
}

impl Rights {
    async fn open(
        &self,
        guarded: &Guarded,
        asked: pb::OpenRequestRequest,
    ) -> Result<pb::RightsRequest> {
        guarded.about(&asked.customer);
        let customer = CustomerId::parse_name("customer", &asked.customer)?;
        let id = RequestId::parse(&asked.request_id)?;
        let regimes: Result<Vec<Regime>> = asked.regimes.into_iter().map(regime_of).collect();
        let asked = Asked {
            kind: kind_of(asked.kind)?,
            regimes: regimes?,
            text: words("text", asked.text, 0)?,
        };
        let grant = guarded.rules.open_request(&guarded.principal, customer)?;
        let view = self.vault.open_request(&guarded.call, grant, asked, id);
        Ok(message(view.await?))
    }

    /// One event of a request, by the action that guards it.
    async fn happens(
        &self,
        guarded: &Guarded,
        action: Action,
        name: &str,
        event: Event,
    ) -> Result<pb::RightsRequest> {
        let number = RequestNumber::parse("name", name)?;
        let rules = &guarded.rules;
        let grant = rules.handle_request(&guarded.principal, action, number)?;
        let view = self
            .vault
            .move_request(&guarded.call, &grant, event)
            .await?;
        Ok(message(view))
    }

    /// Approves; an erasure is carried out. Approved before and cut off: goes
    /// on where it stood.
    async fn approve(&self, guarded: &Guarded, name: &str) -> Result<pb::ApproveRequestResponse> {
        let number = RequestNumber::parse("name", name)?;
        let (rules, call) = (&guarded.rules, &guarded.call);
        let approve = Action::ApproveRequest;
        let grant = rules.handle_request(&guarded.principal, approve, number)?;
        let mut view = self.vault.look_at_request(&grant, guarded.today).await?;
        let is_erasure = view.request.kind == Kind::Erasure;
        let customer = view.customer.as_ref().filter(|_| is_erasure);
        let customer = customer.map(|name| CustomerId::parse_name("customer", name.expose()));
        let erase = match customer.transpose()? {
            Some(id) => Some(rules.erase(&guarded.principal, id)?),
            None => None,
        };
        let is_under_way = matches!(view.request.state, State::Approved | State::Executing);
        if !(is_erasure && is_under_way) {
            view = self
                .vault
                .move_request(call, &grant, Event::Approve)
                .await?;
        }
        let mut made = None;
        if let Some(erase) = erase {
            self.vault.move_request(call, &grant, Event::Begin).await?;
            (_, made) = self.vault.erase_customer(call, erase).await?;
        }
        if is_erasure {
            view = match self.vault.move_request(call, &grant, Event::Fulfil).await {
                // The purge was there first, and has noted it.
                Err(Error::RequestState("fulfilled", _)) => {
                    self.vault.look_at_request(&grant, guarded.today).await?
                }
                moved => moved?,
            };
        }
        Ok(pb::ApproveRequestResponse {
            request: Some(message(view)),
            certificate: made.as_ref().map(certificate),
        })
    }

    async fn deny(
        &self,
        guarded: &Guarded,
        asked: pb::DenyRequestRequest,
    ) -> Result<pb::RightsRequest> {
        if !is_justification(&asked.code) {
            let rule = "must be a DPV justification with its prefix, such as eu-gdpr:A17-3-b";
            return Err(Error::invalid(Violation::new("code", rule)));
        }
        let denied = Event::Deny(Denied {
            code: asked.code,
            text: words("text", asked.text, 1)?,
        });
        self.happens(guarded, Action::DenyRequest, &asked.name, denied)
            .await
    }

    async fn show(&self, guarded: &Guarded, name: &str) -> Result<pb::RightsRequest> {
        let number = RequestNumber::parse("name", name)?;
        let rules = &guarded.rules;
        let grant = rules.handle_request(&guarded.principal, Action::GetRequest, number)?;
        let view = self.vault.show_request(&guarded.call, &grant).await?;
        Ok(message(view))
    }

    async fn list(
        &self,
        guarded: &Guarded,
        asked: pb::ListRequestsRequest,
    ) -> Result<pb::ListRequestsResponse> {
        let most = match usize::try_from(asked.page_size) {
            Ok(0) => limits::LIST_PAGE_DEFAULT,
            Ok(size) => size.min(limits::LIST_PAGE_MAX),
            Err(_) => {
                let violation = Violation::new("page_size", "must not be negative");
                return Err(Error::invalid(violation));
            }
        };
        let after = parse_token(&asked.page_token)?;
        let grant = guarded.rules.list_requests(&guarded.principal)?;
        let listing = self
            .vault
            .list_requests(&guarded.call, grant, !asked.show_ended, after, most)
            .await?;
        Ok(pb::ListRequestsResponse {
            requests: listing.requests.into_iter().map(message).collect(),
            next_page_token: listing.next.map_or_else(String::new, token),
        })
    }
}

macro_rules! answers {
    ($response:ident, $guarded:ident, $answer:expr) => {{
        let answer = $answer.await.map(|request| pb::$response {
            request: Some(request),
        });
        $guarded.answer(answer)
    }};
}

#[tonic::async_trait]
impl RightsService for Rights {
    type ExportCustomerStream = Parts;

    async fn export_customer(
        &self,
        request: Request<pb::ExportCustomerRequest>,
    ) -> Reply<Self::ExportCustomerStream> {
        let guarded = Guarded::of(&request)?;
        let made = async {
            let place = self.streams.take(&guarded.principal)?;
            make(&self.vault, &guarded, request.into_inner(), place).await
        };
        guarded.answer(made.await)
    }

    async fn open_request(
        &self,
        request: Request<pb::OpenRequestRequest>,
    ) -> Reply<pb::OpenRequestResponse> {
        let guarded = Guarded::of(&request)?;
        answers!(
            OpenRequestResponse,
            guarded,
            self.open(&guarded, request.into_inner())
        )
    }

    async fn verify_identity(
        &self,
        request: Request<pb::VerifyIdentityRequest>,
    ) -> Reply<pb::VerifyIdentityResponse> {
        let guarded = Guarded::of(&request)?;
        let asked = request.into_inner();
        let verify = async {
            let event = check_of(asked.check)?;
            self.happens(&guarded, Action::VerifyIdentity, &asked.name, event)
                .await
        };
        answers!(VerifyIdentityResponse, guarded, verify)
    }

    async fn approve_request(
        &self,
        request: Request<pb::ApproveRequestRequest>,
    ) -> Reply<pb::ApproveRequestResponse> {
        let guarded = Guarded::of(&request)?;
        let approved = self.approve(&guarded, &request.into_inner().name).await;
        guarded.answer(approved)
    }

    async fn deny_request(
        &self,
        request: Request<pb::DenyRequestRequest>,
    ) -> Reply<pb::DenyRequestResponse> {
        let guarded = Guarded::of(&request)?;
        answers!(
            DenyRequestResponse,
            guarded,
            self.deny(&guarded, request.into_inner())
        )
    }

    async fn extend_request(
        &self,
        request: Request<pb::ExtendRequestRequest>,
    ) -> Reply<pb::ExtendRequestResponse> {
        let guarded = Guarded::of(&request)?;
        let asked = request.into_inner();
        let extend = async {
            let event = Event::Extend(words("text", asked.text, 1)?);
            self.happens(&guarded, Action::ExtendRequest, &asked.name, event)
                .await
        };
        answers!(ExtendRequestResponse, guarded, extend)
    }

    async fn revoke_request(
        &self,
        request: Request<pb::RevokeRequestRequest>,
    ) -> Reply<pb::RevokeRequestResponse> {
        let guarded = Guarded::of(&request)?;
        let name = request.into_inner().name;
        let revoke = self.happens(&guarded, Action::RevokeRequest, &name, Event::Revoke);
        answers!(RevokeRequestResponse, guarded, revoke)
    }

    async fn fulfil_request(
        &self,
        request: Request<pb::FulfilRequestRequest>,
    ) -> Reply<pb::FulfilRequestResponse> {
        let guarded = Guarded::of(&request)?;
        let name = request.into_inner().name;
        let fulfil = self.happens(&guarded, Action::FulfilRequest, &name, Event::Fulfil);
        answers!(FulfilRequestResponse, guarded, fulfil)
    }

    async fn get_request(
        &self,
        request: Request<pb::GetRequestRequest>,
    ) -> Reply<pb::GetRequestResponse> {
        let guarded = Guarded::of(&request)?;
        let name = request.into_inner().name;
        answers!(GetRequestResponse, guarded, self.show(&guarded, &name))
    }

    async fn list_requests(
        &self,
        request: Request<pb::ListRequestsRequest>,
    ) -> Reply<pb::ListRequestsResponse> {
        let guarded = Guarded::of(&request)?;
        let listed = self.list(&guarded, request.into_inner()).await;
        guarded.answer(listed)
    }
}
