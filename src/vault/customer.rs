//! Customers: created, and looked at without opening a field.

use super::Vault;
use super::find::{gone, newest_keys, sealed_customer_id};
use super::index::{Entry, Place};
use super::keyring::Tenant;
use super::keyring::{CustomerKeyring, Keyring};
use super::request::Request;
use super::rights::request::{Kind, State as RequestState};
use crate::access::{Cause, Create, Grant, Show, State};
use crate::audit::{Call, Verdict};
use crate::clock::Day;
use crate::error::{Error, Lost, Missing, Result};
use crate::id::{CustomerNumber, RequestId};
use crate::limits;
use crate::store::{
    CreateCustomer, CreateKeys, CreateOutcome, CustomerRow, Fence, Replacement, RightsRow, Rows,
};
use std::sync::Arc;

/// How far an erasure has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// L2: the keys are destroyed.
    Shredded,
    /// L3: the rows are gone too.
    Purged,
}

/// An erasure that is asked for and has destroyed nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// L0: restricted until it is decided, or until a hold is released.
    Restricted,
    /// L1: approved, and waiting out its grace.
    Grace,
}

/// How far the purge of a forgotten customer has come, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purge {
    /// How many there were.
    pub total: u64,
    /// How many of them are gone.
    pub done: u64,
}

/// What is known of a customer without opening a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomerView {
    /// Can be read and written.
    Active {
        /// The field key's generation.
        generation: u32,
        /// How many records there are.
        records: u64,
        /// The day of creation.
        created: Day,
        /// Whether processing is restricted (GDPR art. 18).
        restricted: bool,
        /// Whether something of the customer is held.
        held: bool,
        /// An erasure that is asked for.
        waiting: Option<Waiting>,
        /// All that is not held is erased: the epoch whose destruction makes the
        /// newest of it final.
        in_part: Option<u32>,
    },
    /// Forgotten.
    Erased {
        /// How far.
        level: Level,
        /// The epoch whose destruction makes it final.
        epoch: u32,
        /// How many records there were, and how many are purged.
        purge: Purge,
    },
}

/// What a look at the id's place found.
enum Found {
    /// The request was made before and is answered again.
    Again(CustomerView),
    /// The id is free, or a tombstone's that may be replaced.
    Free(Place),
}

impl Vault {
    /// Creates a customer: number and keys first, in `keys.db`, then row, index
    /// row and leaf in one transaction of `vault.db`.
    pub async fn create_customer(
        &self,
        call: &Arc<Call>,
        grant: Grant<Create>,
        request: RequestId,
    ) -> Result<CustomerView> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let flag: &[u8] = &[u8::from(grant.target().recreate)];
        let id = grant.target().customer.expose().as_bytes();
        let request = Request::new(grant.principal(), request, &[b"create", id, flag]);
        let grant = Arc::new(grant);
        for _ in 0..limits::REVISION_RETRIES {
            let _taking = self.0.index_moves.read().await;
            let found = {
                let tenant = Arc::clone(&tenant);
                let (grant, request) = (Arc::clone(&grant), request.clone());
                let today = call.time.day();
                self.on_rows(move |rows, keyring| {
                    look(rows, keyring, &tenant, &grant, &request, today)
                })
                .await?
            };
            let place = match found {
                Found::Again(view) => {
                    let leaf = self.leaf(&grant, Verdict::Allowed);
                    return Ok(self.record_plain(call, &leaf, view).await?.release());
                }
                Found::Free(place) => place,
            };
            if let Some(view) = self
                .create_at(call, &tenant, &grant, &request, place)
                .await?
            {
                return Ok(view);
            }
        }
        Err(Error::Contended)
    }

    /// Tries to create a customer at a place; `None` where something moved
    /// meanwhile and the caller looks again.
    async fn create_at(
        &self,
        call: &Arc<Call>,
        tenant: &Arc<Tenant>,
        grant: &Grant<Create>,
        request: &Request,
        place: Place,
    ) -> Result<Option<CustomerView>> {
        let is_first = place.page.is_none();
        let place = if is_first {
            self.first_page(tenant, grant).await?
        } else {
            place
        };
        let (customer, today) = (
            self.0.store.allocate_customer().in_time().await?,
            call.time.day(),
        );
        let (customer, keys) = self.new_keys(tenant, customer, today).await?;
        let new = self.new_row(call, tenant, grant, request, &place, &keys)?;
        let page = new.index_page;
        let outcome = self.0.store.create_customer(new).in_time().await;
        match outcome {
            Ok(CreateOutcome::Created(rows)) => {
                call.mark_recorded();
                // Should this be lost in a crash, start-up settles it.
                drop(self.0.store.settle_customer(customer));
                if rows > limits::INDEX_ROWS_PER_PAGE {
                    self.split_behind(tenant, &place);
                }
                Ok(Some(CustomerView::Active {
                    generation: 1,
                    records: 0,
                    created: today,
                    restricted: false,
                    held: false,
                    waiting: None,
                    in_part: None,
                }))
            }
            Ok(CreateOutcome::Taken | CreateOutcome::Moved | CreateOutcome::Repeated(_)) => {
                self.0.store.abandon_customer(customer).in_time().await?;
                if is_first {
                    self.0.store.drop_index_page(page).in_time().await?;
                }
                Ok(None)
            }
            // Whether the row is there is not known: start-up finds out.
            Err(error) => Err(error),
        }
    }

    /// A tenant's first index page, and the id's place on it.
    async fn first_page(&self, tenant: &Tenant, grant: &Grant<Create>) -> Result<Place> {
        let number = self.0.store.allocate_index_pages(1).in_time().await?;
        let page = self
            .0
            .keyring
            .new_index_page(tenant.number, number, false)?;
        let row = page.row.clone();
        self.0.store.add_index_pages(vec![page]).in_time().await?;
        let id = &grant.target().customer;
        self.0.keyring.first_place(tenant, id, &row)
    }

    /// A new customer's keys, durable in `keys.db`.
    async fn new_keys(
        &self,
        tenant: &Tenant,
        (customer, page): (CustomerNumber, Option<crate::store::PageRow>),
        today: Day,
    ) -> Result<(CustomerNumber, CustomerKeyring)> {
        let mut page = page;
        for _ in 0..limits::REVISION_RETRIES {
            let row = match page.take() {
                Some(row) => row,
                None => {
                    let new = self.0.keyring.new_customer_page(customer.page())?;
                    self.0.store.add_page(new).in_time().await?
                }
            };
            let (identity, field, keys) =
                self.0.keyring.new_customer(tenant.number, customer, &row)?;
            let stored = self.0.store.create_keys(CreateKeys {
                customer,
                tenant: tenant.number,
                page: row,
                identity,
                field,
                today,
            });
            if stored.in_time().await? {
                return Ok((customer, keys));
            }
        }
        Err(Error::Contended)
    }

    fn new_row(
        &self,
        call: &Arc<Call>,
        tenant: &Tenant,
        grant: &Grant<Create>,
        request: &Request,
        place: &Place,
        keys: &CustomerKeyring,
    ) -> Result<CreateCustomer> {
        let (state, customer) = (State::active(), keys.customer);
        let (index_page, index_tag, index_body) =
            self.0
                .keyring
                .row_at(tenant.number, place, Entry::Customer(customer))?;
        let leaf = self.leaf(grant, Verdict::Allowed);
        Ok(CreateCustomer {
            customer,
            tenant: tenant.number,
            state: state.encode().to_vec(),
            state_mac: state.mac(&keys.identity.state, customer),
            sealed_id: sealed_customer_id(
                self.0.keyring.deployment(),
                keys,
                &grant.target().customer,
            )?,
            index_page,
            index_tag,
            index_body,
            replaces: place.entry.map(|_| Replacement {
                old: place.body.clone(),
            }),
            request: request.claim(&keys.identity, call.time.day()),
            leaf: self.subject_row(call, &leaf, keys, &[])?,
            today: call.time.day(),
        })
    }

    /// Splits the index page of a place, behind the reply.
    fn split_behind(&self, tenant: &Arc<Tenant>, place: &Place) {
        let (vault, tenant, prefix) = (self.clone(), Arc::clone(tenant), place.prefix());
        tokio::spawn(async move {
            if let Err(error) = vault.split_index(&tenant, prefix).await {
                // The page stays as it is; the next creation tries again.
                tracing::warn!(reason = error.reason(), "an index page was not split");
            }
        });
    }

    async fn split_index(&self, tenant: &Arc<Tenant>, prefix: u32) -> Result<()> {
        let _alone = self.0.index_moves.write().await;
        let number = tenant.number;
        let page = self
            .on_rows(move |rows, _| rows.index_ref(number, prefix))
            .await?;
        // Each creation that found the page too full asks; the first was enough.
        let Some(page) = page.filter(|page| page.rows > limits::INDEX_ROWS_PER_PAGE) else {
            return Ok(());
        };
        let first = self.0.store.allocate_index_pages(2).in_time().await?;
        let split = self
            .on_rows(move |rows, keyring| keyring.split(rows, number, &page, first))
            .await?;
        let Some((pages, split)) = split else {
            return Ok(());
        };
        let old = split.old;
        self.0.store.add_index_pages(pages).in_time().await?;
        let gone: &[u64] = if self.0.store.split_index(split).in_time().await? {
            &[old]
        } else {
            &[first, first + 1]
        };
        for page in gone {
            self.0.store.drop_index_page(*page).in_time().await?;
        }
        Ok(())
    }

    /// What is known of a customer without opening a field.
    pub async fn show_customer(
        &self,
        call: &Arc<Call>,
        grant: Grant<Show>,
    ) -> Result<CustomerView> {
        let tenant = self.tenant(grant.principal().tenant())?;
        let grant = Arc::new(grant);
        let (asked, quota, now) = (Arc::clone(&grant), self.quota(), call.time);
        let (view, keys) = self
            .on_rows(move |rows, keyring| {
                let place = keyring.find(rows, &tenant, &asked.target().customer)?;
                let who = asked.principal();
                match place.entry {
                    None => {
                        let nobody = Error::NotFound(Missing::Customer);
                        quota.missed(who, now, &nobody)?;
                        Err(nobody)
                    }
                    Some(Entry::Customer(customer) | Entry::Tombstone(customer)) => {
                        quota.touch(who, customer, now)?;
                        view(rows, keyring, &tenant, customer)
                    }
                }
            })
            .await?;
        let leaf = self.leaf(&grant, Verdict::Allowed);
        let row = match &keys {
            Some(keys) => self.subject_row(call, &leaf, keys, &[])?,
            None => self.plain_row(call, &leaf)?,
        };
        Ok(self.0.log.record(call, vec![row], view).await?.release())
    }
}

/// A customer's state, and their keys while they have any.
pub(super) fn view(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    tenant: &Tenant,
    customer: CustomerNumber,
) -> Result<(CustomerView, Option<CustomerKeyring>)> {
    let keys = newest_keys(rows, customer)?;
    if let Some(fence) = keys.fence {
        return Ok((erased(rows, customer, fence)?, None));
    }
    let keys = keyring.customer(customer, keys)?;
    if keys.tenant != tenant.number {
        return Err(Error::DataLoss(Lost::Index));
    }
    let Some(row) = rows.customer(customer)? else {
        return match gone(rows, customer)? {
            Some(fence) => Ok((erased(rows, customer, fence)?, None)),
            None => Err(Error::DataLoss(Lost::State)),
        };
    };
    let view = active(rows, &keys, &row, keys.facts(&row)?.state())?;
    Ok((view, Some(keys)))
}

/// What is known of a living customer with this state.
pub(super) fn active(
    rows: &mut dyn Rows,
    keys: &CustomerKeyring,
    row: &CustomerRow,
    state: &State,
) -> Result<CustomerView> {
    let is_waiting = [Cause::Erasure, Cause::Queued]
        .into_iter()
        .any(|cause| state.is_restricted_for(cause));
    let is_approved = |row: &RightsRow| {
        row.kind == Kind::Erasure as u8 && row.state == RequestState::Approved as u8
    };
    let waiting = match is_waiting {
        false => None,
        true if rows.open_rights_of(keys.customer)?.iter().any(is_approved) => Some(Waiting::Grace),
        true => Some(Waiting::Restricted),
    };
    let parts = match is_waiting {
        true => rows.partial_erasures(keys.customer)?,
        false => Vec::new(),
    };
    let mut done = parts.iter().rev().filter_map(|row| row.destroyed.as_ref());
    Ok(CustomerView::Active {
        in_part: done.next().map(|destroyed| destroyed.epoch),
        generation: keys.generation,
        records: row.records,
        created: row.created,
        restricted: state.is_restricted(),
        held: state.holds().next().is_some(),
        waiting,
    })
}

fn erased(rows: &mut dyn Rows, customer: CustomerNumber, fence: Fence) -> Result<CustomerView> {
    let progress = rows.erasure_progress(customer)?;
    let purged = progress.is_some_and(|row| row.level >= 3);
    Ok(CustomerView::Erased {
        level: if purged {
            Level::Purged
        } else {
            Level::Shredded
        },
        epoch: fence.epoch,
        purge: progress.map_or_else(Purge::default, |row| Purge {
            total: row.records,
            done: row.purged,
        }),
    })
}

fn look(
    rows: &mut dyn Rows,
    keyring: &Keyring,
    tenant: &Tenant,
    grant: &Grant<Create>,
    request: &Request,
    today: Day,
) -> Result<Found> {
    let place = keyring.find(rows, tenant, &grant.target().customer)?;
    let known = request.known(rows, today)?;
    match place.entry {
        Some(Entry::Tombstone(_)) if !grant.target().recreate => Err(Error::CustomerWasErased),
        None | Some(Entry::Tombstone(_)) if known.is_some() => Err(Error::RequestIdReused),
        None | Some(Entry::Tombstone(_)) => Ok(Found::Free(place)),
        Some(Entry::Customer(customer)) => {
            let (view, keys) = view(rows, keyring, tenant, customer)?;
            let Some(keys) = keys else {
                // Shredded, and the purge has not come to the index row yet.
                return Err(if grant.target().recreate {
                    Error::ErasurePending
                } else {
                    Error::CustomerWasErased
                });
            };
            match known {
                Some(known) if known.customer == customer => {
                    request.is_same(&keys.identity, &known)?;
                    Ok(Found::Again(view))
                }
                Some(_) => Err(Error::RequestIdReused),
                None => Err(Error::CustomerExists),
            }
        }
    }
}
