//! RightsService.

use super::call::Guarded;
use super::certificates::certificate;
use super::export::{Parts, make};
use super::places::Places;
use super::rights_message::{check_of, kind_of, message, regime_of, words};
use super::value::instant;
use super::watch::{Watching, watch};
use crate::access::{Action, Erase, Grant, HandleRequest, Say};
use crate::clock::Instant;
use crate::error::{Error, Result, Violation};
use crate::id::{CertificateName, CustomerId, RequestId, RequestNumber};
use crate::limits;
use crate::pb;
use crate::pb::rights_service_server::RightsService;
use crate::vault::rights::clock::Regime;
use crate::vault::rights::request::{Denied, Event, Kind, State, is_justification};
use crate::vault::rights::{Asked, RequestView, parse_token, token};
use crate::vault::{Held, Vault, step_id};
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Rights {
    /// The vault.
    pub vault: Vault,
    /// Room for exports.
    pub streams: Places,
}

type Reply<T> = std::result::Result<Response<T>, Status>;

impl Rights {
    /// Opens a request. An objection to marketing is put on record at once, any
    /// other is decided first.
    async fn open(
        &self,
        guarded: &Guarded,
        asked: pb::OpenRequestRequest,
    ) -> Result<pb::RightsRequest> {
        guarded.about(&asked.customer);
        let customer = CustomerId::parse_name("customer", &asked.customer)?;
        let id = RequestId::parse(&asked.request_id)?;
        let regimes: Result<Vec<Regime>> = asked.regimes.into_iter().map(regime_of).collect();
        let kind = kind_of(asked.kind)?;
        let (rules, who) = (&guarded.rules, &guarded.principal);
        let grant = rules.open_request(who, customer)?;
        if asked.accuracy_contested && kind != Kind::Rectification {
            let rule = "is for rectifications";
            return Err(Error::invalid(Violation::new("accuracy_contested", rule)));
        }
        if !asked.purposes.is_empty() && kind != Kind::Objection {
            let rule = "are for objections";
            return Err(Error::invalid(Violation::new("purposes", rule)));
        }
        // Refused before anything is done, where one of them cannot be objected
        // to.
        let objections = objections(guarded, &asked.customer, &asked.purposes)?;
        let purposes = objections.iter().map(|one| one.target().purpose.clone());
        let asked = Asked {
            kind,
            regimes: regimes?,
            text: words("text", asked.text, 0)?,
            contested: asked.accuracy_contested,
            purposes: purposes.collect(),
        };
        let opened = self.vault.open_request(&guarded.call, grant, asked, id);
        let view = opened.await?;
        let marketing = objections
            .into_iter()
            .filter(|objection| objection.target().purpose.is_marketing());
        self.object(guarded, view.number, marketing).await?;
        Ok(message(view))
    }

    /// Puts objections on record; one that a repeat finds there is not put there
    /// again.
    async fn object(
        &self,
        guarded: &Guarded,
        request: RequestNumber,
        objections: impl Iterator<Item = Grant<Say>>,
    ) -> Result<()> {
        for objection in objections {
            let id = step_id(&[
                b"objection",
                &request.0.to_be_bytes(),
                &objection.target().purpose.number.to_be_bytes(),
            ]);
            self.vault.say(&guarded.call, objection, id).await?;
        }
        Ok(())
    }

    /// One event of a request, by the action that guards it.
    async fn happens(
        &self,
        guarded: &Guarded,
        action: Action,
        name: &str,
        event: Event,
        told: Option<Instant>,
    ) -> Result<pb::RightsRequest> {
        let number = RequestNumber::parse("name", name)?;
        let rules = &guarded.rules;
        let grant = rules.handle_request(&guarded.principal, action, number)?;
        let view = self
            .vault
            .move_request(&guarded.call, &grant, event, told)
            .await?;
        Ok(message(view))
    }

    /// Approves, and does at once what can be done at once.
    async fn approve(
        &self,
        guarded: &Guarded,
        asked: pb::ApproveRequestRequest,
    ) -> Result<pb::ApproveRequestResponse> {
        let number = RequestNumber::parse("name", &asked.name)?;
        let told = instant("person_told_time", asked.person_told_time)?;
        let approve = Action::ApproveRequest;
        let grant = guarded
            .rules
            .handle_request(&guarded.principal, approve, number)?;
        let view = self.vault.look_at_request(&grant, guarded.today).await?;
        let customer = view.customer.as_ref().map(|name| name.expose().to_owned());
        match (view.request.kind, customer) {
            (Kind::Erasure, customer) => self.erase(guarded, &grant, view, customer).await,
            (kind, customer) => {
                if let (Kind::Objection, Some(customer)) = (kind, customer) {
                    let purposes = &view.request.content.purposes;
                    // What may not be approved is refused before anything is done.
                    self.vault.may_approve(&guarded.call, &grant, told).await?;
                    let objections = objections(guarded, &customer, purposes)?;
                    self.object(guarded, number, objections.into_iter()).await?;
                }
                let moved = self
                    .vault
                    .move_request(&guarded.call, &grant, Event::Approve, told);
                Ok(pb::ApproveRequestResponse {
                    request: Some(message(moved.await?)),
                    certificate: None,
                })
            }
        }
    }

    /// Approves an erasure and carries it out, unless it has a grace or waits for
    /// a hold. Approved before, it goes on where it stood.
    async fn erase(
        &self,
        guarded: &Guarded,
        grant: &Grant<HandleRequest>,
        mut view: RequestView,
        customer: Option<String>,
    ) -> Result<pb::ApproveRequestResponse> {
        let (rules, call, vault) = (&guarded.rules, &guarded.call, &self.vault);
        let customer = customer.map(|name| CustomerId::parse_name("customer", &name));
        let erase = match customer.transpose()? {
            Some(id) => Some(rules.erase(&guarded.principal, id)?),
            None => None,
        };
        if !matches!(view.request.state, State::Approved | State::Executing) {
            view = vault
                .move_request(call, grant, Event::Approve, None)
                .await?;
        }
        let waits = |view| pb::ApproveRequestResponse {
            request: Some(message(view)),
            certificate: None,
        };
        if view.request.is_in_grace(guarded.today) {
            return match call.is_recorded() {
                true => Ok(waits(view)),
                // Approved before: it is only shown again.
                false => Ok(waits(vault.show_request(call, grant).await?)),
            };
        }
        let held = vault.held(grant).await?;
        if held != Held::Nothing {
            return self.erase_unheld(guarded, grant, (view, held), erase).await;
        }
        let mut made = None;
        if let Some(erase) = erase {
            vault.move_request(call, grant, Event::Begin, None).await?;
            (_, made) = vault.erase_customer(call, erase).await?;
        }
        view = match vault.move_request(call, grant, Event::Fulfil, None).await {
            // The purge was there first, and has noted it.
            Err(Error::RequestState("fulfilled", _)) => {
                vault.look_at_request(grant, guarded.today).await?
            }
            moved => moved?,
        };
        Ok(pb::ApproveRequestResponse {
            request: Some(message(view)),
            certificate: made.as_ref().map(certificate),
        })
    }

    /// Carries an erasure out as far as nothing is held: the rest waits.
    async fn erase_unheld(
        &self,
        guarded: &Guarded,
        grant: &Grant<HandleRequest>,
        (mut view, held): (RequestView, Held),
        erase: Option<Grant<Erase>>,
    ) -> Result<pb::ApproveRequestResponse> {
        let (call, vault) = (&guarded.call, &self.vault);
        if view.request.state == State::Approved {
            view = vault.move_request(call, grant, Event::Queue, None).await?;
        }
        let mut made = None;
        if let (Held::Some, Some(erase)) = (held, erase) {
            vault.move_request(call, grant, Event::Begin, None).await?;
            made = match vault.erase_customer(call, erase).await {
                // Held as a whole meanwhile.
                Err(Error::ErasureQueued) => None,
                erased => erased?.1,
            };
            view = vault.look_at_request(grant, guarded.today).await?;
        }
        if !call.is_recorded() {
            view = vault.show_request(call, grant).await?;
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
        let told = instant("person_told_time", asked.person_told_time)?;
        self.happens(guarded, Action::DenyRequest, &asked.name, denied, told)
            .await
    }

    async fn show(&self, guarded: &Guarded, name: &str) -> Result<pb::GetRequestResponse> {
        let number = RequestNumber::parse("name", name)?;
        let rules = &guarded.rules;
        let grant = rules.handle_request(&guarded.principal, Action::GetRequest, number)?;
        let view = self.vault.show_request(&guarded.call, &grant).await?;
        // For those who may get it by its name.
        let made = self.vault.certificate_of_request(&grant).await?;
        let made = made.filter(|made| {
            let name = CertificateName::parse("name", made.name.expose());
            let shown =
                name.and_then(|name| rules.show_certificate(&guarded.principal, name, None));
            shown.is_ok()
        });
        Ok(pb::GetRequestResponse {
            request: Some(message(view)),
            certificate: made.as_ref().map(certificate),
        })
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
        let grant = guarded
            .rules
            .list_requests(&guarded.principal, Action::ListRequests)?;
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

/// Objections to purposes, each of which must be one that can be objected to.
fn objections(guarded: &Guarded, customer: &str, purposes: &[String]) -> Result<Vec<Grant<Say>>> {
    if purposes.len() > limits::CATALOG_ENTRIES {
        let rule = format!("must be at most {}", limits::CATALOG_ENTRIES);
        return Err(Error::invalid(Violation::new("purposes", rule)));
    }
    let now = guarded.call.time;
    let object = |purpose: &String| {
        let customer = CustomerId::parse_name("customer", customer)?;
        let of = (customer, purpose.as_str());
        guarded.rules.object(&guarded.principal, of, now)
    };
    purposes.iter().map(object).collect()
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
    type WatchRequestsStream = Watching;

    async fn watch_requests(
        &self,
        request: Request<pb::WatchRequestsRequest>,
    ) -> Reply<Self::WatchRequestsStream> {
        let guarded = Guarded::of(&request)?;
        let opened = async {
            let place = self.streams.take(&guarded.principal)?;
            watch(self.vault.clone(), &guarded, place).await
        };
        guarded.answer(opened.await)
    }

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
            self.happens(&guarded, Action::VerifyIdentity, &asked.name, event, None)
                .await
        };
        answers!(VerifyIdentityResponse, guarded, verify)
    }

    async fn approve_request(
        &self,
        request: Request<pb::ApproveRequestRequest>,
    ) -> Reply<pb::ApproveRequestResponse> {
        let guarded = Guarded::of(&request)?;
        let approved = self.approve(&guarded, request.into_inner()).await;
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
            self.happens(&guarded, Action::ExtendRequest, &asked.name, event, None)
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
        let revoke = self.happens(&guarded, Action::RevokeRequest, &name, Event::Revoke, None);
        answers!(RevokeRequestResponse, guarded, revoke)
    }

    async fn fulfil_request(
        &self,
        request: Request<pb::FulfilRequestRequest>,
    ) -> Reply<pb::FulfilRequestResponse> {
        let guarded = Guarded::of(&request)?;
        let name = request.into_inner().name;
        let fulfil = self.happens(&guarded, Action::FulfilRequest, &name, Event::Fulfil, None);
        answers!(FulfilRequestResponse, guarded, fulfil)
    }

    async fn get_request(
        &self,
        request: Request<pb::GetRequestRequest>,
    ) -> Reply<pb::GetRequestResponse> {
        let guarded = Guarded::of(&request)?;
        let name = request.into_inner().name;
        let shown = self.show(&guarded, &name).await;
        guarded.answer(shown)
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
