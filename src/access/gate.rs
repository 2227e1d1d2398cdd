//! What a customer's own state allows. One order, one reason a step, and
//! whatever is not known denies: the basis is live, special categories have a
//! basis of their own, nothing is restricted or held. Who is calling, the
//! purpose, the fields, the policy, recipient and place were asked before
//! anybody was looked up ([`super::snapshot`]); what of a record is past its
//! retention is asked where it is opened.

use super::state::{Standing, State};
use crate::catalog::{Catalog, Field, Mechanism, Purpose, RecordType, SpecialBasis};
use crate::clock::Day;
use crate::error::{Denial, Error, Result, Rule};

/// What a state is judged by besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The day, UTC.
    pub today: Day,
    /// The last restore that could not be proven complete; 0: there was none.
    /// Consent of states from before is not relied on.
    pub lineage: u32,
}

/// Why the purpose has no live basis; `None`: it has one.
pub(super) fn no_basis(purpose: &Purpose, state: &State, moment: Moment) -> Option<Rule> {
    let standing = state.standing(purpose.number, false);
    match purpose.scope.mechanism {
        Mechanism::OptIn => no_consent(purpose, &standing, state, moment),
        Mechanism::OptOut if standing.status.is_no() => Some(Rule::Objected),
        Mechanism::OptOut | Mechanism::NoticeOnly => not_in_force(purpose, &standing, moment.today),
    }
}

/// Why special categories may not be opened for the purpose.
pub(super) fn no_special_basis(purpose: &Purpose, state: &State, moment: Moment) -> Option<Rule> {
    match purpose.scope.special_basis {
        None => Some(Rule::SpecialCategory),
        Some(SpecialBasis::ExplicitConsent) => {
            let standing = state.standing(purpose.number, true);
            no_consent(purpose, &standing, state, moment).map(|_| Rule::SpecialCategory)
        }
        Some(_) => None,
    }
}

/// Consent is there, was not taken back, is in time, and was given to a notice
/// that still says what is done.
fn no_consent(
    purpose: &Purpose,
    standing: &Standing,
    state: &State,
    moment: Moment,
) -> Option<Rule> {
    use super::state::Status::*;
    match standing.status {
        Unknown | Requested | Asserted => Some(Rule::ConsentMissing),
        Refused => Some(Rule::ConsentRefused),
        Withdrawn | Objected => Some(Rule::ConsentWithdrawn),
        Expired => Some(Rule::ConsentExpired),
        Revoked | Invalidated => Some(Rule::ConsentInvalid),
        Given | Renewed if state.lineage < moment.lineage => Some(Rule::ConsentUnproven),
        Given | Renewed if standing.is_over(moment.today) => Some(Rule::ConsentExpired),
        Given | Renewed if standing.notice < purpose.notice_floor() => Some(Rule::NoticeSuperseded),
        Given | Renewed => None,
    }
}

/// A basis that is no consent: what is known to have ended has, and where the
/// catalog wants it asserted customer by customer, it was.
fn not_in_force(purpose: &Purpose, standing: &Standing, today: Day) -> Option<Rule> {
    use super::state::Status::*;
    match standing.status {
        Revoked | Expired | Invalidated => Some(Rule::BasisEnded),
        Asserted if standing.is_over(today) => Some(Rule::BasisEnded),
        Asserted => None,
        _ if purpose.scope.assert => Some(Rule::BasisMissing),
        _ => None,
    }
}

/// That the customer's data as a whole is neither restricted nor held;
/// `exempt`: the purpose is one of the exceptions.
pub(super) fn open(state: &State, exempt: bool) -> Result<()> {
    match exempt {
        false if state.is_restricted() => Err(Error::denied(Rule::Restricted)),
        false if state.is_held() => Err(Error::denied(Rule::Held)),
        _ => Ok(()),
    }
}

/// That nothing of a record type is held.
pub(super) fn free(state: &State, record_type: &RecordType) -> Result<()> {
    match state.holds_of_type(record_type.number) {
        true => Err(Error::denied(Rule::Held)),
        false => Ok(()),
    }
}

/// That a field is not held.
pub(super) fn free_field(state: &State, record_type: &RecordType, field: &Field) -> Result<()> {
    match state.holds_field(record_type.number, field.number) {
        true => Err(Error::Denied(about(Rule::Held, field))),
        false => Ok(()),
    }
}

/// The reason why a purpose's data may not be read of a customer; empty: it may.
pub fn denied_by(purpose: &Purpose, state: &State, moment: Moment) -> &'static str {
    let rule = if purpose.is_live() {
        no_basis(purpose, state, moment)
    } else {
        Some(Rule::NoticeUnpublished)
    };
    match rule {
        Some(rule) => rule.reason(),
        None => open(state, purpose.scope.despite_restriction)
            .map_or_else(|error| error.reason(), |()| ""),
    }
}

/// The denial by a rule that is about a field.
pub(super) fn about(rule: Rule, field: &Field) -> Denial {
    Denial {
        rule,
        field: Some(field.name.clone()),
        policies: Vec::new(),
    }
}

/// Whether a purpose which is live for this customer collects the field.
pub fn is_collected(
    catalog: &Catalog,
    record_type: &RecordType,
    field: &Field,
    state: &State,
    moment: Moment,
) -> bool {
    collected(catalog, record_type, field, state, moment).is_ok()
}

/// That a purpose which is live for this customer collects the field; one of a
/// special category with a basis of its own (GDPR art. 9(2)).
pub(super) fn collected(
    catalog: &Catalog,
    record_type: &RecordType,
    field: &Field,
    state: &State,
    moment: Moment,
) -> Result<()> {
    let mut live = catalog
        .collectors(record_type.number, field.number)
        .filter(|purpose| !purpose.scope.is_expired(moment.today))
        .filter(|purpose| no_basis(purpose, state, moment).is_none())
        .peekable();
    let rule = if live.peek().is_none() {
        Rule::NoLivePurpose
    } else if field.special && live.all(|p| no_special_basis(p, state, moment).is_some()) {
        Rule::SpecialCategory
    } else {
        return Ok(());
    };
    Err(Error::Denied(about(rule, field)))
}
