//! A vault of many customers, made at once and straight into the store: for
//! measuring and for tests, before anybody is served.

use super::Vault;
use super::find::{sealed_customer_id, sealed_record_id};
use super::index::Entry;
use super::keyring::{CustomerKeyring, Tenant};
use super::open::{field_keys, manifest_place};
use crate::access::State;
use crate::catalog::Value;
use crate::clock::{Day, Instant};
use crate::crypto::index::{blind, record_locator};
use crate::crypto::manifest::manifest;
use crate::crypto::record::seal_group;
use crate::crypto::{RecordBody, RecordContext};
use crate::error::{Error, Result};
use crate::id::{CustomerId, CustomerNumber, FieldNumber, RecordId, RecordNumber, TenantName};
use crate::limits;
use crate::store::sqlite::{Seed, Seedling};
use crate::store::{CustomerRow, EraseIntent, JobState, RecordKey, RecordRow, SplitPart};

/// What is seeded.
#[derive(Clone)]
pub struct Seeding {
    /// Whose customers.
    pub tenant: TenantName,
    /// How many.
    pub customers: u64,
    /// Number and version of the record type, number of its text field, of one
    /// record each that is called `r` and holds the customer's id.
    pub record: Option<(u16, u32, u16)>,
}

/// What a closing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Pages that were wrapped anew or moved.
    pub pages: u64,
    /// Customers' keys that were wrapped under new page keys.
    pub keys: u64,
}

/// The id of a seeded customer, from 1.
pub fn seeded_id(customer: u64) -> String {
    format!("c{customer:08}")
}

impl Vault {
    /// Fills an empty vault; `told` hears how many customers there are. Blocks.
    pub fn seed(
        &self,
        seed: &mut Seed,
        seeding: &Seeding,
        told: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let tenant = self.tenant(&seeding.tenant)?;
        let depth =
            (0..24_u8).find(|depth| seeding.customers >> depth < limits::INDEX_ROWS_PER_PAGE / 2);
        let depth = depth.unwrap_or(24);
        let mut buckets: Vec<Vec<([u8; 32], CustomerNumber)>> = vec![Vec::new(); 1 << depth];
        for first in (0..=seeding.customers).step_by(1 << limits::CUSTOMERS_PER_PAGE_BITS) {
            let page = CustomerNumber(first).page();
            let numbers = first.max(1)..(first + (1 << limits::CUSTOMERS_PER_PAGE_BITS));
            let numbers = numbers.take_while(|number| *number <= seeding.customers);
            let new = self.0.keyring.new_customer_page(page)?;
            let mut seedlings = Vec::with_capacity(1 << limits::CUSTOMERS_PER_PAGE_BITS);
            for number in numbers {
                let (customer, id) = (CustomerNumber(number), id_of(number)?);
                seedlings.push(self.seedling(&tenant, customer, &id, &new.row, seeding)?);
                let blinded = blind(&tenant.keys.index, &id);
                let prefix = u32::from_be_bytes(*blinded.first_chunk().unwrap_or(&[0; 4]));
                let bucket = usize::try_from(u64::from(prefix) >> (32 - u32::from(depth)));
                if let Some(bucket) = bucket.ok().and_then(|at| buckets.get_mut(at)) {
                    bucket.push((blinded, customer));
                }
            }
            seed.customers(new, &seedlings)?;
            told((first + (1 << limits::CUSTOMERS_PER_PAGE_BITS)).min(seeding.customers));
        }
        for (number, bucket) in (1..).zip(buckets) {
            self.seed_index(seed, &tenant, number, depth, &bucket)?;
        }
        Ok(())
    }

    fn seed_index(
        &self,
        seed: &mut Seed,
        tenant: &Tenant,
        number: u64,
        depth: u8,
        bucket: &[([u8; 32], CustomerNumber)],
    ) -> Result<()> {
        let keyring = &self.0.keyring;
        let page = keyring.new_index_page(tenant.number, number, false)?;
        let keys = keyring.index_page(tenant.number, &page.row)?;
        let rows = bucket.iter().map(|(blind, customer)| {
            keyring.seal_row(
                &keys,
                tenant.number,
                number,
                blind,
                Entry::Customer(*customer),
            )
        });
        let start = (number - 1) << (32 - u32::from(depth));
        let part = SplitPart {
            page: number,
            start: u32::try_from(start).map_err(|_| Error::Internal("prefix"))?,
            depth,
            rows: rows.collect::<Result<_>>()?,
        };
        seed.index(tenant.number, page, &part)
    }

    fn seedling(
        &self,
        tenant: &Tenant,
        customer: CustomerNumber,
        id: &CustomerId,
        page: &crate::store::PageRow,
        seeding: &Seeding,
    ) -> Result<Seedling> {
        let (keyring, today) = (&self.0.keyring, Instant::now().day());
        let (identity, field, keys) = keyring.new_customer(tenant.number, customer, page)?;
        let state = State::active();
        let record = match seeding.record {
            Some(of) => Some(self.seeded_record(&keys, id, of, today)?),
            None => None,
        };
        Ok(Seedling {
            customer,
            identity,
            field,
            row: CustomerRow {
                tenant: tenant.number,
                created: today,
                records: u64::from(record.is_some()),
                next_record: 1 + u64::from(record.is_some()),
                state: state.encode().to_vec(),
                state_mac: state.mac(&keys.identity.state, customer).to_vec(),
                sealed_id: sealed_customer_id(keyring.deployment(), &keys, id)?,
            },
            record,
        })
    }

    fn seeded_record(
        &self,
        keys: &CustomerKeyring,
        id: &CustomerId,
        (record_type, schema_version, field): (u16, u32, u16),
        today: Day,
    ) -> Result<([u8; 16], RecordRow)> {
        let deployment = self.0.keyring.deployment();
        let name = RecordId::parse("record", "r")?;
        let place = RecordContext {
            deployment,
            tenant: keys.tenant.0,
            customer: keys.customer.0,
            generation: keys.generation,
            record_type,
            record: 1,
            schema_version,
            revision: 1,
        };
        let newest = field_keys(keys, keys.generation)?;
        let value = Value::text(id.expose()).encode();
        let group = seal_group(
            &newest.record,
            &place,
            &[(FieldNumber(field), value.expose())],
        )?;
        let mut body = RecordBody::empty();
        body.push(group.as_ref())?;
        let row = RecordRow {
            key: RecordKey {
                customer: keys.customer,
                record: RecordNumber(1),
            },
            record_type,
            revision: 1,
            schema_version,
            generation: keys.generation,
            created: today,
            updated: today,
            manifest: manifest(&newest.manifest, &manifest_place(&place), &body).to_vec(),
            sealed_id: sealed_record_id(deployment, keys, 1, record_type, &name)?,
            body: body.encode()?,
        };
        let locator = record_locator(&keys.identity.record_locator, record_type, &name);
        Ok((locator, row))
    }

    /// Forgets a seeded customer, to L3.
    pub async fn forget_seeded(&self, tenant: &TenantName, customer: u64) -> Result<()> {
        let tenant = self.tenant(tenant)?;
        let id = id_of(customer)?;
        let number = tenant.number;
        let (place, row) = self
            .on_rows(move |rows, keyring| {
                let place = keyring.find(rows, &tenant, &id)?;
                Ok((place, rows.customer(CustomerNumber(customer))?))
            })
            .await?;
        let row = row.ok_or(Error::Internal("an unseeded customer"))?;
        let page = place.page.ok_or(Error::Internal("an unseeded index"))?;
        let call = self.0.log.begin("Purge", None, Instant::now());
        let leaf = crate::audit::Leaf::new(crate::audit::Verdict::Intended, "");
        let intent = EraseIntent {
            customer: CustomerNumber(customer),
            tenant: number,
            index_page: page.page,
            index_tag: place.tag,
            state: row.state,
            leaf: self.plain_row(&call, &leaf)?,
            certificate: None,
            told: None,
            today: call.time.day(),
        };
        self.0.store.intend_erasure(intent).in_time().await?;
        self.purge(CustomerNumber(customer)).await
    }

    /// Closes the active epoch, and waits until it is done or cannot go on.
    pub async fn close_now(&self) -> Result<Closed> {
        let call = self.0.log.begin("CloseEpoch", None, Instant::now());
        let leaf = crate::audit::Leaf::new(crate::audit::Verdict::Allowed, "");
        let job = self.begin_close(&call, leaf, 0, "").await?;
        loop {
            let row = self.job_row(job).await?;
            let row = row.ok_or(Error::Internal("a job without a row"))?;
            match row.state {
                JobState::Done => {
                    return Ok(Closed {
                        pages: row.done,
                        keys: row.keys,
                    });
                }
                JobState::Running => tokio::time::sleep(limits::QUIET_LOOK).await,
                _ => return Err(Error::Internal("a closing that stopped")),
            }
        }
    }

    /// Lets jobs take every core: nobody is served meanwhile.
    pub fn use_every_core(&self) {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let room = self.0.crypto_room.available_permits();
        self.0.crypto_room.add_permits(cores.saturating_sub(room));
    }
}

fn id_of(customer: u64) -> Result<CustomerId> {
    CustomerId::parse("customer", &seeded_id(customer))
}
