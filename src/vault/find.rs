//! From names to keys and rows, on a reader thread.

use super::index::Entry;
use super::keyring::Tenant;
use super::keyring::{CustomerKeyring, Keyring};
use crate::crypto::{Deployment, Label, MessageContext, message};
use crate::error::{Error, Lost, Missing, Result};
use crate::id::{CustomerId, CustomerNumber, RecordId};
use crate::secret::SecretText;
use crate::store::{CustomerKeys, CustomerRow, Fence, RecordRow, Rows};

impl Keyring {
    /// The keys of the customer that an id stands for.
    pub fn keys_of(
        &self,
        rows: &mut dyn Rows,
        tenant: &Tenant,
        id: &CustomerId,
    ) -> Result<CustomerKeyring> {
        match self.find(rows, tenant, id)?.entry {
            None => Err(Error::NotFound(Missing::Customer)),
            Some(Entry::Tombstone(_)) => Err(Error::CustomerErased),
            Some(Entry::Customer(customer)) => {
                let keys = self.customer(customer, newest_keys(rows, customer)?)?;
                if keys.tenant != tenant.number {
                    tracing::error!("an index row points to a customer of another tenant");
                    return Err(Error::DataLoss(Lost::Index));
                }
                Ok(keys)
            }
        }
    }
}

/// A customer's key rows. The files are read one after the other: where a
/// customer stands in the one and has left no trace in the other, the other may
/// only be seen in an older state, and is looked at again.
pub fn newest_keys(rows: &mut dyn Rows, customer: CustomerNumber) -> Result<CustomerKeys> {
    let keys = rows.customer_keys(customer)?;
    if keys.identity.is_some() || keys.fence.is_some() {
        return Ok(keys);
    }
    rows.refresh();
    rows.customer_keys(customer)
}

/// The fence of a customer who had keys a moment ago and has no row: they were
/// forgotten in between. `None`: the row is lost.
pub fn gone(rows: &mut dyn Rows, customer: CustomerNumber) -> Result<Option<Fence>> {
    rows.refresh();
    rows.fence(customer)
}

/// The row of a customer whose keys were just read.
pub fn owner_of(
    rows: &mut dyn Rows,
    customer: CustomerNumber,
    row: Option<CustomerRow>,
) -> Result<CustomerRow> {
    match row {
        Some(row) => Ok(row),
        None if gone(rows, customer)?.is_some() => Err(Error::CustomerErased),
        None => Err(Error::DataLoss(Lost::State)),
    }
}

fn customer_id_context(deployment: Deployment, keys: &CustomerKeyring) -> Vec<u8> {
    MessageContext {
        deployment,
        label: Label::CustomerId,
        tenant: keys.tenant.0,
        customer: keys.customer.0,
        number: 0,
        extra: 0,
    }
    .bytes()
}

fn record_id_context(
    deployment: Deployment,
    keys: &CustomerKeyring,
    record: u64,
    record_type: u16,
) -> Vec<u8> {
    MessageContext {
        deployment,
        label: Label::RecordId,
        tenant: keys.tenant.0,
        customer: keys.customer.0,
        number: record,
        extra: u64::from(record_type),
    }
    .bytes()
}

/// The caller's id of a customer, sealed.
pub fn sealed_customer_id(
    deployment: Deployment,
    keys: &CustomerKeyring,
    id: &CustomerId,
) -> Result<Vec<u8>> {
    let context = customer_id_context(deployment, keys);
    message::seal(&keys.identity.ids, &context, id.expose().as_bytes())
}

/// The caller's id of a record, sealed.
pub fn sealed_record_id(
    deployment: Deployment,
    keys: &CustomerKeyring,
    record: u64,
    record_type: u16,
    id: &RecordId,
) -> Result<Vec<u8>> {
    let context = record_id_context(deployment, keys, record, record_type);
    message::seal(&keys.identity.ids, &context, id.expose().as_bytes())
}

/// The caller's id of a customer, from the sealed id.
pub fn customer_id(
    deployment: Deployment,
    keys: &CustomerKeyring,
    sealed: &[u8],
) -> Result<CustomerId> {
    let id = open_text(
        keys,
        &customer_id_context(deployment, keys),
        sealed,
        Lost::State,
    )?;
    CustomerId::parse("customer_id", id.expose()).map_err(|_| Error::DataLoss(Lost::State))
}

/// `customers/{customer}`, from the sealed id.
pub fn customer_name(
    deployment: Deployment,
    keys: &CustomerKeyring,
    row: &CustomerRow,
) -> Result<SecretText> {
    let context = customer_id_context(deployment, keys);
    let id = open_text(keys, &context, &row.sealed_id, Lost::State)?;
    Ok(SecretText::new(format!("customers/{}", id.expose())))
}

/// `customers/{customer}/records/{record}`, from the sealed id.
pub fn record_name(
    deployment: Deployment,
    keys: &CustomerKeyring,
    customer: &SecretText,
    row: &RecordRow,
) -> Result<SecretText> {
    let context = record_id_context(deployment, keys, row.key.record.0, row.record_type);
    let id = open_text(keys, &context, &row.sealed_id, Lost::Record)?;
    Ok(SecretText::new(format!(
        "{}/records/{}",
        customer.expose(),
        id.expose()
    )))
}

/// The record that a locator led to, once it is known to be the one of that
/// id: what the locator's row says is not sealed, the record's own id is.
pub fn found_record(
    deployment: Deployment,
    keys: &CustomerKeyring,
    id: &RecordId,
    row: Option<RecordRow>,
) -> Result<Option<RecordRow>> {
    let Some(row) = row else {
        return Ok(None);
    };
    let context = record_id_context(deployment, keys, row.key.record.0, row.record_type);
    let own = open_text(keys, &context, &row.sealed_id, Lost::Record)?;
    if row.key.customer != keys.customer || own.expose() != id.expose() {
        tracing::error!("a locator leads to another record");
        return Err(Error::DataLoss(Lost::Record));
    }
    Ok(Some(row))
}

fn open_text(
    keys: &CustomerKeyring,
    context: &[u8],
    sealed: &[u8],
    lost: Lost,
) -> Result<SecretText> {
    let bytes = message::open(&keys.identity.ids, context, sealed);
    bytes
        .ok()
        .and_then(|bytes| String::from_utf8(bytes.expose().to_vec()).ok())
        .map(SecretText::new)
        .ok_or(Error::DataLoss(lost))
}
