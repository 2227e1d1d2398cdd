//! RightsService's messages: what requests say, and what is said of them.

use super::value::date;
use crate::clock::Day;
use crate::error::{Error, Result, Violation};
use crate::limits;
use crate::pb;
use crate::vault::rights::RequestView;
use crate::vault::rights::clock::{Regime, Warning};
use crate::vault::rights::request::{Event, Kind};

/// A value of a list that this server does not have.
fn unknown(field: &'static str) -> Error {
    let rule = "must be a value that this server knows";
    Error::invalid(Violation::new(field, rule))
}

/// A text of the person or for them.
pub fn words(field: &'static str, text: String, least: usize) -> Result<String> {
    if (least..=limits::RIGHTS_TEXT_BYTES).contains(&text.len()) {
        return Ok(text);
    }
    let most = limits::RIGHTS_TEXT_BYTES;
    let rule = format!("must be {least} to {most} bytes");
    Err(Error::invalid(Violation::new(field, rule)))
}

/// What is asked for.
pub fn kind_of(kind: i32) -> Result<Kind> {
    let number = u8::try_from(kind).ok();
    let kind = number.and_then(Kind::numbered);
    kind.ok_or_else(|| unknown("kind"))
}

/// Under which law.
pub fn regime_of(regime: i32) -> Result<Regime> {
    let mut all = Regime::ALL.into_iter();
    let found = all.find(|one| i32::from(*one as u8) == regime);
    found.ok_or_else(|| unknown("regimes"))
}

/// A step-up is recorded, and nothing is collected for it.
pub fn check_of(check: i32) -> Result<Event> {
    Ok(match pb::IdentityCheck::try_from(check) {
        Ok(pb::IdentityCheck::MoreNeeded) => Event::AskVerification,
        Ok(pb::IdentityCheck::SignedIn) => Event::Verify("signed in".to_owned()),
        Ok(pb::IdentityCheck::KnownContact) => Event::Verify("known contact".to_owned()),
        Ok(pb::IdentityCheck::KnownData) => Event::Verify("known data".to_owned()),
        Ok(pb::IdentityCheck::InPerson) => Event::Verify("in person".to_owned()),
        Ok(pb::IdentityCheck::Unspecified) | Err(_) => return Err(unknown("check")),
    })
}

pub fn message(view: RequestView) -> pb::RightsRequest {
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
        restricts: request.content.restraint.is_some(),
        purposes: request.content.purposes,
        grace_end_date: request.content.grace_until.map(|day| date(Day(day))),
        queued: request.content.queued,
        erased_in_part: view.in_part,
    }
}

/// The same without what is about the person.
pub fn nameless(view: RequestView) -> pb::RightsRequest {
    pb::RightsRequest {
        customer: String::new(),
        text: String::new(),
        denial_text: String::new(),
        steps: Vec::new(),
        purposes: Vec::new(),
        ..message(view)
    }
}
