//! HoldService.

use super::call::Guarded;
use super::certificates::certificate;
use super::rights_message::words;
use super::value::{date, day};
use crate::clock::Day;
use crate::error::{Error, Result, Violation};
use crate::id::{CustomerId, HoldNumber, RequestId};
use crate::limits;
use crate::pb;
use crate::pb::hold_service_server::HoldService;
use crate::vault::rights::request::is_justification;
use crate::vault::rights::{parse_token, token};
use crate::vault::{CarriedOn, HoldView, Terms, Vault};
use tonic::{Request, Response, Status};

/// The service over a vault.
pub struct Holds {
    /// The vault.
    pub vault: Vault,
}

type Reply<T> = std::result::Result<Response<T>, Status>;

fn message(hold: HoldView, today: Day) -> pb::Hold {
    let what = hold.note.what;
    let (record_type, field) = what.split_once('.').unwrap_or((&what, ""));
    pb::Hold {
        name: hold.number.text(),
        customer: hold.customer.expose().to_owned(),
        record_type: record_type.to_owned(),
        field: field.to_owned(),
        authority: hold.note.authority,
        reason: hold.note.reason,
        reviewers: hold.note.reviewers,
        review_date: hold.review.map(date),
        review_due: hold.review.is_some_and(|review| today >= review),
        placed_by: hold.note.by,
        place_time_micros: hold.note.time,
        code: hold.note.code,
        of_the_rest: hold.of_the_rest,
    }
}

/// By when and by whom a hold is looked at again: never by nobody, or it would
/// stand for ever.
fn terms(asked: &pb::PlaceHoldRequest, today: Day) -> Result<Terms> {
    let wrong = |field: &str, rule: String| Err(Error::invalid(Violation::new(field, rule)));
    let review = day("review_date", asked.review_date)?;
    let Some(review) = review.filter(|review| *review > today) else {
        return wrong("review_date", "must be a day that has not come yet".into());
    };
    let is_name = |name: &String| (1..=limits::TITLE_BYTES).contains(&name.len());
    let reviewers = &asked.reviewers;
    let are_named = (1..=limits::REVIEWERS).contains(&reviewers.len());
    if !are_named || !reviewers.iter().all(is_name) {
        let (most, bytes) = (limits::REVIEWERS, limits::TITLE_BYTES);
        let rule = format!("must be 1 to {most} names, each of 1 to {bytes} bytes");
        return wrong("reviewers", rule);
    }
    if !asked.code.is_empty() && !is_justification(&asked.code) {
        let rule = "must be a DPV justification with its prefix, such as eu-gdpr:A17-3-e";
        return wrong("code", rule.to_owned());
    }
    Ok(Terms {
        code: asked.code.clone(),
        authority: words("authority", asked.authority.clone(), 1)?,
        reason: words("reason", asked.reason.clone(), 1)?,
        reviewers: reviewers.clone(),
        review,
    })
}

impl Holds {
    async fn place(&self, guarded: &Guarded, asked: pb::PlaceHoldRequest) -> Result<pb::Hold> {
        guarded.about(&asked.customer);
        let customer = CustomerId::parse_name("customer", &asked.customer)?;
        let id = RequestId::parse(&asked.request_id)?;
        let (rules, who) = (&guarded.rules, &guarded.principal);
        let grant = rules.place_hold(who, customer, &asked.record_type, &asked.field)?;
        let terms = terms(&asked, guarded.today)?;
        let hold = self.vault.place_hold(&guarded.call, grant, terms, id);
        Ok(message(hold.await?, guarded.today))
    }

    async fn release(&self, guarded: &Guarded, name: &str) -> Result<pb::ReleaseHoldResponse> {
        let hold = HoldNumber::parse("name", name)?;
        let grant = guarded.rules.release_hold(&guarded.principal, hold)?;
        let released = self.vault.release_hold(&guarded.call, grant).await?;
        // The hold is released, whatever becomes of what waited for that; what is
        // not done now is done within a minute.
        let carried_on = self.vault.carry_on_with(released.customer).await;
        let carried_on = carried_on.unwrap_or_else(|error| {
            tracing::warn!(reason = error.reason(), "an erasure waits");
            CarriedOn::default()
        });
        Ok(pb::ReleaseHoldResponse {
            hold: Some(message(released.hold, guarded.today)),
            erased: carried_on.erased,
            erased_in_part: carried_on.in_part,
            certificate: carried_on.certificate.as_ref().map(certificate),
        })
    }

    async fn list(
        &self,
        guarded: &Guarded,
        asked: pb::ListHoldsRequest,
    ) -> Result<pb::ListHoldsResponse> {
        let customer = match asked.customer.as_str() {
            "" => None,
            name => {
                guarded.about(name);
                Some(CustomerId::parse_name("customer", name)?)
            }
        };
        let most = match usize::try_from(asked.page_size) {
            Ok(0) => limits::LIST_PAGE_DEFAULT,
            Ok(size) => size.min(limits::LIST_PAGE_MAX),
            Err(_) => {
                let violation = Violation::new("page_size", "must not be negative");
                return Err(Error::invalid(violation));
            }
        };
        let after = parse_token(&asked.page_token)?;
        let grant = guarded.rules.list_holds(&guarded.principal, customer)?;
        let holds = self.vault.list_holds(&guarded.call, grant, after, most);
        let holds = holds.await?;
        let shown = holds.holds.into_iter();
        Ok(pb::ListHoldsResponse {
            holds: shown.map(|hold| message(hold, guarded.today)).collect(),
            next_page_token: holds.next.map_or_else(String::new, token),
        })
    }
}

#[tonic::async_trait]
impl HoldService for Holds {
    async fn place_hold(
        &self,
        request: Request<pb::PlaceHoldRequest>,
    ) -> Reply<pb::PlaceHoldResponse> {
        let guarded = Guarded::of(&request)?;
        let placed = self.place(&guarded, request.into_inner()).await;
        guarded.answer(placed.map(|hold| pb::PlaceHoldResponse { hold: Some(hold) }))
    }

    async fn release_hold(
        &self,
        request: Request<pb::ReleaseHoldRequest>,
    ) -> Reply<pb::ReleaseHoldResponse> {
        let guarded = Guarded::of(&request)?;
        let released = self.release(&guarded, &request.into_inner().name).await;
        guarded.answer(released)
    }

    async fn list_holds(
        &self,
        request: Request<pb::ListHoldsRequest>,
    ) -> Reply<pb::ListHoldsResponse> {
        let guarded = Guarded::of(&request)?;
        let listed = self.list(&guarded, request.into_inner()).await;
        guarded.answer(listed)
    }
}
