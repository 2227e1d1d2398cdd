//! Requests as whoever carries on with them sees them, and as a watcher does.

use super::keep::found;
use super::request::{Event, Kind, State};
use super::{Office, RequestView};
use crate::access::{Grant, HandleRequest, ListRequests};
use crate::audit::{Call, Leaf, Verdict};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::id::{CustomerNumber, RequestNumber, TenantNumber};
use crate::store::RightsRow;
use crate::vault::Vault;
use crate::vault::queue::Held;
use crate::vault::restraint::Restraining;
use std::sync::Arc;
use tokio::sync::broadcast;

/// The changes of one tenant's requests.
pub struct Changes {
    tenant: TenantNumber,
    all: broadcast::Receiver<(TenantNumber, RequestNumber)>,
}

impl Changes {
    /// The next request that changed.
    ///
    /// # Errors
    /// Whoever watches was slower than what happened: look at the list, and
    /// watch again.
    pub async fn next(&mut self) -> Result<RequestNumber> {
        loop {
            match self.all.recv().await {
                Ok((tenant, number)) if tenant == self.tenant => return Ok(number),
                Ok(_) => {}
                Err(_) => return Err(Error::TooMuch("changes that wait for a watcher")),
            }
        }
    }
}

/// Whether an approved or begun erasure waits for nothing but to be carried on
/// with.
fn goes_on(view: &RequestView, office: &Office, today: crate::clock::Day) -> bool {
    let request = &view.request;
    match request.state {
        State::Executing => true,
        State::Approved if request.is_in_grace(today) => false,
        State::Approved => {
            request.content.queued || (request.content.grace_until.is_some() && office.goes_on)
        }
        _ => false,
    }
}

impl Vault {
    /// A customer's erasure requests that wait for nothing any more, held or not.
    pub(in crate::vault) async fn requests_that_go_on(
        &self,
        customer: CustomerNumber,
    ) -> Result<Vec<RightsRow>> {
        let (office, today) = (self.office(), Instant::now().day());
        self.on_rows(move |rows, keyring| {
            let mut all = rows.open_rights_of(customer)?;
            all.retain(|row| row.kind == Kind::Erasure as u8);
            let mut go_on = Vec::with_capacity(all.len());
            for row in all {
                let view = found(rows, keyring, row.clone())?.view(today);
                if goes_on(&view, &office, today) {
                    go_on.push(row);
                }
            }
            Ok(go_on)
        })
        .await
    }

    /// Something happens to a request that nobody calls for: the continuation
    /// of what was approved. A request that cannot take it stays as it is.
    pub(in crate::vault) async fn step_request(
        &self,
        call: &Arc<Call>,
        row: RightsRow,
        event: Event,
    ) -> Result<()> {
        let number = RequestNumber(row.number);
        let leaf = Leaf::new(Verdict::Allowed, "");
        let moved = self
            .move_as(call, row.tenant, number, ("", None), (event, leaf))
            .await;
        match moved {
            Ok(_) | Err(Error::RequestState(..)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// That the grant's request can be approved, for a step that comes before.
    pub async fn may_approve(
        &self,
        call: &Arc<Call>,
        grant: &Grant<HandleRequest>,
        told: Option<Instant>,
    ) -> Result<()> {
        let tenant = self.tenant(grant.principal().tenant())?.number;
        let number = grant.target().request;
        let found = self
            .on_rows(move |rows, keyring| super::keep::find(rows, keyring, tenant, number))
            .await?;
        let doing = self.doing(call, grant.principal().name(), told);
        found.request.after(Event::Approve, &doing).map(|_| ())
    }

    /// How much of the customer of the grant's request is held.
    pub async fn held(&self, grant: &Grant<HandleRequest>) -> Result<Held> {
        let tenant = self.tenant(grant.principal().tenant())?.number;
        let number = grant.target().request;
        self.on_rows(move |rows, keyring| {
            let found = super::keep::find(rows, keyring, tenant, number)?;
            let (Some(keys), Some(row)) = (&found.keys, &found.owner) else {
                return Ok(Held::Nothing);
            };
            let restraining = Restraining::of(keyring, keys, row)?;
            Ok(Held::by(restraining.state()))
        })
        .await
    }

    /// From here on every change of the tenant's requests. Written down once,
    /// since what a watcher is told names nobody.
    pub async fn watch_requests(
        &self,
        call: &Arc<Call>,
        grant: &Grant<ListRequests>,
    ) -> Result<Changes> {
        let changes = Changes {
            tenant: self.tenant(grant.principal().tenant())?.number,
            all: self.0.changes.subscribe(),
        };
        let leaf = self.leaf(grant, Verdict::Allowed);
        Ok(self.record_plain(call, &leaf, changes).await?.release())
    }

    /// A request as it stands now; `None` where there is none.
    pub async fn request_now(
        &self,
        grant: &Grant<ListRequests>,
        number: RequestNumber,
    ) -> Result<Option<RequestView>> {
        let tenant = self.tenant(grant.principal().tenant())?.number;
        let today = Instant::now().day();
        self.on_rows(
            move |rows, keyring| match super::keep::find(rows, keyring, tenant, number) {
                Ok(found) => Ok(Some(found.view(today))),
                Err(Error::NotFound(_)) => Ok(None),
                Err(error) => Err(error),
            },
        )
        .await
    }

    /// Tells those who watch.
    pub(in crate::vault) fn tell_of_request(&self, tenant: TenantNumber, number: RequestNumber) {
        // Nobody may be watching.
        let _ = self.0.changes.send((tenant, number));
    }
}
