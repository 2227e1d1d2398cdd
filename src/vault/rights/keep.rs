//! Requests, kept: opened, moved on, looked at. Each change is one transaction
//! with its leaf; what is about the person is sealed under their own key, with
//! what stands in the clear beside it, so that neither can be changed alone.

use super::clock::{Warning, warning};
use super::effect::Subject;
use super::request::{Content, Doing, Event, Kind, Request, State};
use crate::access::{Grant, HandleRequest, ListRequests};
use crate::audit::{Call, Fact, Leaf, Verdict};
use crate::clock::{Day, Instant};
use crate::crypto::{Deployment, Label, MessageContext, message};
use crate::error::{Error, Lost, Missing, Result, Violation};
use crate::id::{CustomerNumber, RequestNumber, TenantNumber};
use crate::limits;
use crate::secret::SecretText;
use crate::store::{ChangeRights, CustomerRow, LeafRow, RightsRow, Rows};
use crate::vault::Vault;
use crate::vault::events::EventKind;
use crate::vault::find::{customer_name, newest_keys, owner_of};
use crate::vault::keyring::{CustomerKeyring, Keyring};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A request as it is shown.
pub struct RequestView {
    /// Which.
    pub number: RequestNumber,
    /// `customers/{customer}`; `None` once they are forgotten.
    pub customer: Option<SecretText>,
    /// The request, its state as it is today.
    pub request: Request,
    /// How much of its time has run.
    pub warning: Warning,
    /// All that nobody holds of the customer is erased.
    pub in_part: bool,
}

/// A page of requests.
pub struct Listing {
    /// By the day they are due.
    pub requests: Vec<RequestView>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<(Day, u64)>,
}

/// The sealed part: what is about the person, and what it must fit.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    kind: u8,
    state: u8,
    received: i32,
    due: Option<i32>,
    extended: bool,
    content: Content,
}

/// A request as it was found.
pub(super) struct Found {
    pub(super) row: RightsRow,
    pub(super) request: Request,
    pub(super) keys: Option<CustomerKeyring>,
    pub(super) owner: Option<CustomerRow>,
    pub(super) customer: Option<SecretText>,
    pub(super) in_part: bool,
}

fn context(deployment: Deployment, row: &RightsRow) -> Vec<u8> {
    MessageContext {
        deployment,
        label: Label::Request,
        tenant: row.tenant.0,
        customer: row.customer.0,
        number: row.number,
        extra: row.revision,
    }
    .bytes()
}

pub(super) fn seal(
    deployment: Deployment,
    keys: &CustomerKeyring,
    row: &RightsRow,
    request: &Request,
) -> Result<Vec<u8>> {
    let kept = Kept {
        kind: row.kind,
        state: row.state,
        received: row.received.0,
        due: row.due.map(|day| day.0),
        extended: request.extended,
        content: request.content.clone(),
    };
    let bytes = serde_json::to_vec(&kept).map_err(|_| Error::Internal("a request"))?;
    message::seal(&keys.requests(), &context(deployment, row), &bytes)
}

/// What stands in the clear; all that is left of a forgotten customer's.
fn bare(row: &RightsRow) -> Result<Request> {
    let lost = Error::DataLoss(Lost::Row);
    Ok(Request {
        kind: Kind::numbered(row.kind).ok_or(lost.clone())?,
        state: State::numbered(row.state).ok_or(lost)?,
        received: row.received,
        due: row.due,
        extended: false,
        content: Content {
            opened_by: String::new(),
            regimes: Vec::new(),
            text: String::new(),
            denied: None,
            steps: Vec::new(),
            restraint: None,
            purposes: Vec::new(),
            grace_until: None,
            queued: false,
        },
    })
}

fn opened(deployment: Deployment, keys: &CustomerKeyring, row: &RightsRow) -> Result<Request> {
    let lost = || Error::DataLoss(Lost::Row);
    let bytes = message::open(&keys.requests(), &context(deployment, row), &row.sealed);
    let bytes = bytes.map_err(|_| lost())?;
    let kept: Kept = serde_json::from_slice(bytes.expose()).map_err(|_| lost())?;
    let clear = (
        row.kind,
        row.state,
        row.received.0,
        row.due.map(|day| day.0),
    );
    if (kept.kind, kept.state, kept.received, kept.due) != clear {
        return Err(lost());
    }
    Ok(Request {
        extended: kept.extended,
        content: kept.content,
        ..bare(row)?
    })
}

pub(super) fn found(rows: &mut dyn Rows, keyring: &Keyring, row: RightsRow) -> Result<Found> {
    let nobody = |row: RightsRow| {
        Ok(Found {
            request: bare(&row)?,
            row,
            keys: None,
            owner: None,
            customer: None,
            in_part: false,
        })
    };
    if row.customer.0 == 0 {
        return nobody(row);
    }
    let keys = match keyring.customer(row.customer, newest_keys(rows, row.customer)?) {
        Ok(keys) => keys,
        // Shredded; the purge has not come to the request yet.
        Err(Error::CustomerErased) => return nobody(row),
        Err(error) => return Err(error),
    };
    let deployment = keyring.deployment();
    let owner = rows.customer(row.customer)?;
    let owner = owner_of(rows, row.customer, owner)?;
    Ok(Found {
        request: opened(deployment, &keys, &row)?,
        customer: Some(customer_name(deployment, &keys, &owner)?),
        keys: Some(keys),
        owner: Some(owner),
        in_part: row.kind == Kind::Erasure as u8 && is_erased_in_part(rows, row.customer)?,
        row,
    })
}

fn is_erased_in_part(rows: &mut dyn Rows, customer: CustomerNumber) -> Result<bool> {
    let parts = rows.partial_erasures(customer)?;
    Ok(parts.iter().any(|part| part.destroyed.is_some()))
}

pub(super) fn find(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    tenant: TenantNumber,
    number: RequestNumber,
) -> Result<Found> {
    let row = rows.rights(number.0)?.filter(|row| row.tenant == tenant);
    found(rows, keyring, row.ok_or(Error::NotFound(Missing::Request))?)
}

impl Found {
    pub(super) fn view(self, today: Day) -> RequestView {
        let mut request = self.request;
        request.state = request.state.on(today, request.due);
        let warning = match request.due {
            Some(due) if !request.state.is_final() => warning(request.received, due, today),
            _ => Warning::None,
        };
        RequestView {
            number: RequestNumber(self.row.number),
            customer: self.customer,
            request,
            warning,
            in_part: self.in_part,
        }
    }
}

pub(super) fn fact(leaf: &mut Leaf, number: u64, request: &Request, event: &'static str) {
    leaf.fact = Some(Fact::Request {
        request: RequestNumber(number).text(),
        kind: request.kind.name(),
        event,
        state: request.state.name(),
    });
}

impl Vault {
    pub(super) fn doing<'a>(&self, call: &Call, by: &'a str, told: Option<Instant>) -> Doing<'a> {
        let office = self.office();
        Doing {
            by,
            time: call.time.micros(),
            today: call.time.day(),
            four_eyes: office.four_eyes,
            grace_days: office.grace_days,
            told: told.map(Instant::micros),
        }
    }

    /// Something happens to the grant's request. `told`: when the person was
    /// told that what is restricted for it no longer will be.
    pub async fn move_request(
        &self,
        call: &Arc<Call>,
        grant: &Grant<HandleRequest>,
        event: Event,
        told: Option<Instant>,
    ) -> Result<RequestView> {
        let tenant = self.tenant(grant.principal().tenant())?.number;
        let by = grant.principal().name();
        let leaf = self.leaf(grant, Verdict::Allowed);
        let number = grant.target().request;
        self.move_as(call, tenant, number, (by, told), (event, leaf))
            .await
    }

    /// The same, by whoever carries on with it.
    pub(super) async fn move_as(
        &self,
        call: &Arc<Call>,
        tenant: TenantNumber,
        number: RequestNumber,
        (by, told): (&str, Option<Instant>),
        (event, leaf): (Event, Leaf),
    ) -> Result<RequestView> {
        let today = call.time.day();
        for _ in 0..limits::REVISION_RETRIES {
            let found = self
                .on_rows(move |rows, keyring| find(rows, keyring, tenant, number))
                .await?;
            // Whoever has keys is not erased, whatever is said of the request.
            let is_erasure = found.request.kind == Kind::Erasure && found.keys.is_some();
            if is_erasure && matches!(event, Event::Fulfil) {
                return Err(Error::RequestState(found.request.state.name(), "fulfil"));
            }
            let doing = self.doing(call, by, told);
            let next = found.request.after(event.clone(), &doing)?;
            let mut leaf = leaf.clone();
            fact(&mut leaf, number.0, &next, event.name());
            let effect = match (&found.keys, &found.owner) {
                (Some(keys), Some(row)) => Subject {
                    keyring: &self.0.keyring,
                    keys,
                    row,
                    number: number.0,
                    by,
                    time: call.time.micros(),
                }
                .happened(&found.request, &next, &event)?,
                _ => None,
            };
            let (restrain, narrowing) =
                effect.map_or((None, None), |(change, n)| (Some(change), n));
            let change = ChangeRights {
                restrain,
                ..self.change(call, &leaf, &found, &next)?
            };
            self.note_placing(narrowing, today).await?;
            let row = change.row.clone();
            let step = || self.0.store.change_rights(change.clone());
            if self.reserved(step).await? {
                call.mark_recorded();
                if let Some(restrain) = &change.restrain {
                    self.note_lifting(restrain, today).await;
                }
                self.tell_of_request(tenant, number);
                if next.kind == Kind::Rectification && matches!(event, Event::Fulfil) {
                    self.tell_all(row.customer, EventKind::Rectified).await;
                }
                if let Some(restrain) = &change.restrain {
                    let kind = match restrain.placed {
                        Some(_) => EventKind::Restricted,
                        None => EventKind::RestrictionLifted,
                    };
                    self.tell_all(row.customer, kind).await;
                }
                let found = Found {
                    row,
                    request: next,
                    ..found
                };
                return Ok(found.view(today));
            }
        }
        Err(Error::Contended)
    }

    fn change(
        &self,
        call: &Call,
        leaf: &Leaf,
        found: &Found,
        next: &Request,
    ) -> Result<ChangeRights> {
        let mut row = RightsRow {
            state: next.state as u8,
            due: next.due,
            revision: found.row.revision + 1,
            sealed: Vec::new(),
            ..found.row.clone()
        };
        let leaf = self.leaf_row(call, leaf, found)?;
        if let Some(keys) = &found.keys {
            row.sealed = seal(self.0.keyring.deployment(), keys, &row, next)?;
        }
        Ok(ChangeRights {
            row,
            restrain: None,
            leaf,
        })
    }

    fn leaf_row(&self, call: &Call, leaf: &Leaf, found: &Found) -> Result<LeafRow> {
        match &found.keys {
            Some(keys) => self.subject_row(call, leaf, keys, &[]),
            None => self.plain_row(call, leaf),
        }
    }

    /// Shows the grant's request.
    pub async fn show_request(
        &self,
        call: &Arc<Call>,
        grant: &Grant<HandleRequest>,
    ) -> Result<RequestView> {
        let tenant = self.tenant(grant.principal().tenant())?.number;
        let number = grant.target().request;
        let found = self
            .on_rows(move |rows, keyring| find(rows, keyring, tenant, number))
            .await?;
        let leaf = self.leaf(grant, Verdict::Allowed);
        let row = self.leaf_row(call, &leaf, &found)?;
        let view = found.view(call.time.day());
        Ok(self.0.log.record(call, vec![row], view).await?.release())
    }

    /// The same, for a step of a call that writes its own leaf.
    pub async fn look_at_request(
        &self,
        grant: &Grant<HandleRequest>,
        today: Day,
    ) -> Result<RequestView> {
        let tenant = self.tenant(grant.principal().tenant())?.number;
        let number = grant.target().request;
        let found = self
            .on_rows(move |rows, keyring| find(rows, keyring, tenant, number))
            .await?;
        Ok(found.view(today))
    }

    /// A tenant's requests by the day they are due, after `after`; with `open`
    /// only those that are not ended. One leaf for the call and one for each
    /// customer who is named.
    pub async fn list_requests(
        &self,
        call: &Arc<Call>,
        grant: Grant<ListRequests>,
        open: bool,
        after: Option<(Day, u64)>,
        most: usize,
    ) -> Result<Listing> {
        let tenant = self.tenant(grant.principal().tenant())?.number;
        let (mut all, more) = self
            .on_rows(move |rows, keyring| {
                let most_and_one = most.saturating_add(1);
                let mut found = rows.rights_of_tenant(tenant, open, after, most_and_one)?;
                let more = found.len() > most;
                found.truncate(most);
                let all = found.into_iter().map(|row| self::found(rows, keyring, row));
                Ok((all.collect::<Result<Vec<_>>>()?, more))
            })
            .await?;
        let mut leaf = self.leaf(&grant, Verdict::Allowed);
        leaf.count = all.len() as u64;
        let mut leaves = vec![self.plain_row(call, &leaf)?];
        leaf.count = 1;
        for found in all.iter().filter(|found| found.keys.is_some()) {
            leaves.push(self.leaf_row(call, &leaf, found)?);
        }
        let never = Day(i32::MAX);
        let last = all.last().filter(|_| more);
        let next = last.map(|found| (found.row.due.unwrap_or(never), found.row.number));
        let today = call.time.day();
        let listing = Listing {
            requests: all.drain(..).map(|found| found.view(today)).collect(),
            next,
        };
        Ok(self.0.log.record(call, leaves, listing).await?.release())
    }
}

/// A token that [`Listing::next`] was written as.
///
/// # Errors
/// It is not one.
pub fn parse_token(token: &str) -> Result<Option<(Day, u64)>> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed = token.split_once('-').and_then(|(day, number)| {
        let day = u32::from_str_radix(day, 16).ok()?.cast_signed();
        Some((Day(day), u64::from_str_radix(number, 16).ok()?))
    });
    parsed.map(Some).ok_or_else(|| {
        let rule = "must be the next_page_token of an earlier page";
        Error::invalid(Violation::new("page_token", rule))
    })
}

/// The token of a next page.
pub fn token((day, number): (Day, u64)) -> String {
    format!("{:x}-{number:x}", day.0)
}
