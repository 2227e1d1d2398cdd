//! Opening a request, with what it restricts at once.

use super::RequestView;
use super::clock::Regime;
use super::effect::Subject;
use super::keep::{Found, fact, find, seal};
use super::request::{Kind, Request};
use crate::access::{Cause, Grant, OpenRequest};
use crate::audit::{Call, Leaf, Verdict};
use crate::catalog::Purpose;
use crate::crypto::random_bytes;
use crate::error::{Error, Result};
use crate::id::{RequestId, RequestNumber};
use crate::limits;
use crate::store::{ConsentOutcome, LeafRow, Narrowing, OpenRights, RightsRow, Rows};
use crate::vault::Vault;
use crate::vault::find::{customer_name, owner_of};
use crate::vault::keyring::{Keyring, Tenant};
use crate::vault::request::Request as Repeatable;
use std::sync::{Arc, PoisonError};

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What.
    pub kind: Kind,
    /// The laws that apply; empty: those that are configured.
    pub regimes: Vec<Regime>,
    /// What the person said of it.
    pub text: String,
    /// Of a rectification: whether they contest that the data is accurate.
    pub contested: bool,
    /// Of an objection: the purposes.
    pub purposes: Vec<Arc<Purpose>>,
}

impl Asked {
    /// Why the data is restricted until it is decided, if it is. What is
    /// objected to and is marketing ends at once, undecided.
    fn restricts(&self, request: &Request) -> Option<Cause> {
        let is_marketing = |purpose: &Arc<Purpose>| purpose.is_marketing();
        let all_ends = !self.purposes.is_empty() && self.purposes.iter().all(is_marketing);
        request.restricts().filter(|cause| match cause {
            Cause::Accuracy => self.contested,
            Cause::Objection => !all_ends,
            _ => true,
        })
    }
}

/// A request that is about to be opened.
struct Fresh {
    vault: Vault,
    call: Arc<Call>,
    tenant: Arc<Tenant>,
    grant: Grant<OpenRequest>,
    repeatable: Repeatable,
    request: Request,
    cause: Option<Cause>,
    leaf: Leaf,
}

/// What became of it on the reader thread.
enum Prepared {
    /// It was opened before.
    Known(Found, LeafRow),
    /// It is to be stored, once the ledger notes what it restricts.
    New(Box<OpenRights>, Option<Narrowing>, Found),
}

impl Fresh {
    fn prepare(&mut self, rows: &mut dyn Rows, keyring: &Keyring) -> Result<Prepared> {
        let keys = keyring.keys_of(rows, &self.tenant, &self.grant.target().customer);
        let (who, time) = (self.grant.principal(), self.call.time);
        let keys = self.vault.quota().admit(who, time, keys)?;
        if let Some(known) = self.repeatable.known(rows, time.day())? {
            self.repeatable.is_same(&keys.identity, &known)?;
            let number = RequestNumber(known.outcome);
            let found = find(rows, keyring, self.tenant.number, number)?;
            self.leaf.fact = None;
            let leaf = self.vault.subject_row(&self.call, &self.leaf, &keys, &[])?;
            return Ok(Prepared::Known(found, leaf));
        }
        let owner = rows.customer(keys.customer)?;
        let owner = owner_of(rows, keys.customer, owner)?;
        let row = RightsRow {
            number: u64::from_be_bytes(random_bytes()?) >> 1,
            tenant: self.tenant.number,
            customer: keys.customer,
            kind: self.request.kind as u8,
            state: self.request.state as u8,
            received: self.request.received,
            due: self.request.due,
            revision: 1,
            sealed: Vec::new(),
        };
        let deployment = keyring.deployment();
        let subject = Subject {
            keyring,
            keys: &keys,
            row: &owner,
            number: row.number,
            by: who.name(),
            time: time.micros(),
        };
        let effect = subject.opened(&mut self.request, self.cause)?;
        let (restrain, narrowing) = effect.map_or((None, None), |(change, n)| (Some(change), n));
        let sealed = seal(deployment, &keys, &row, &self.request)?;
        let row = RightsRow { sealed, ..row };
        fact(&mut self.leaf, row.number, &self.request, "open");
        let open = OpenRights {
            claim: self.repeatable.claim(&keys.identity, time.day()),
            restrain,
            leaf: self.vault.subject_row(&self.call, &self.leaf, &keys, &[])?,
            row: row.clone(),
        };
        let found = Found {
            row,
            request: self.request.clone(),
            customer: Some(customer_name(deployment, &keys, &owner)?),
            keys: Some(keys),
            owner: Some(owner),
            in_part: false,
        };
        Ok(Prepared::New(Box::new(open), narrowing, found))
    }
}

/// The content of an opening: the same words have the same bytes.
fn repeatable(
    grant: &Grant<OpenRequest>,
    asked: &Asked,
    regimes: &[Regime],
    id: RequestId,
) -> Repeatable {
    let numbers: Vec<u8> = regimes.iter().map(|regime| *regime as u8).collect();
    let purposes = asked.purposes.iter().map(|one| one.number.to_be_bytes());
    let purposes: Vec<u8> = purposes.flatten().collect();
    let customer = grant.target().customer.expose().as_bytes();
    let kind = [asked.kind as u8, u8::from(asked.contested)];
    let text = asked.text.as_bytes();
    let parts: [&[u8]; 6] = [b"open", customer, &kind, &numbers, &purposes, text];
    Repeatable::new(grant.principal(), id, &parts)
}

impl Vault {
    /// Opens a request of the grant's customer.
    pub async fn open_request(
        &self,
        call: &Arc<Call>,
        grant: Grant<OpenRequest>,
        asked: Asked,
        id: RequestId,
    ) -> Result<RequestView> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let regimes = match asked.regimes.as_slice() {
            [] => self.office().regimes,
            some => some.to_vec(),
        };
        let repeatable = repeatable(&grant, &asked, &regimes, id);
        let leaf = self.leaf(&grant, Verdict::Allowed);
        let doing = self.doing(call, grant.principal().name(), None);
        let mut request = Request::open(asked.kind, &regimes, asked.text.clone(), &doing);
        let names = asked.purposes.iter().map(|one| one.name.to_string());
        request.content.purposes = names.collect();
        let fresh = Fresh {
            vault: self.clone(),
            call: Arc::clone(call),
            tenant,
            grant,
            repeatable,
            cause: asked.restricts(&request),
            request,
            leaf,
        };
        // In a task of its own: a caller that goes away stops nothing half-way.
        let (vault, call) = (self.clone(), Arc::clone(call));
        tokio::spawn(async move { vault.open_to_the_end(&call, fresh).await })
            .await
            .unwrap_or(Err(Error::Internal("a request ended by itself")))
    }

    async fn open_to_the_end(&self, call: &Arc<Call>, fresh: Fresh) -> Result<RequestView> {
        let today = call.time.day();
        let fresh = Arc::new(std::sync::Mutex::new(fresh));
        for _ in 0..limits::REVISION_RETRIES {
            let fresh = Arc::clone(&fresh);
            let prepared = self
                .on_rows(move |rows, keyring| {
                    let mut fresh = fresh.lock().unwrap_or_else(PoisonError::into_inner);
                    fresh.prepare(rows, keyring)
                })
                .await?;
            let (open, narrowing, found) = match prepared {
                Prepared::Known(found, leaf) => {
                    let view = found.view(today);
                    return Ok(self.0.log.record(call, vec![leaf], view).await?.release());
                }
                Prepared::New(open, narrowing, found) => (open, narrowing, found),
            };
            self.note_placing(narrowing, today).await?;
            let (tenant, number) = (open.row.tenant, RequestNumber(open.row.number));
            let opened = self.0.store.open_rights(*open).in_time().await?;
            if let ConsentOutcome::Done = opened {
                call.mark_recorded();
                self.tell_of_request(tenant, number);
                return Ok(found.view(today));
            }
        }
        Err(Error::Contended)
    }
}
