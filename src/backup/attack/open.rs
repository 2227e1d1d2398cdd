//! What the keys open in a copy of `vault.db`: index rows, ids, records.

use super::Found;
use super::closure::Closure;
use crate::crypto::record::open_group;
use crate::crypto::{Label, MessageContext, RecordBody, RecordContext, message};
use crate::error::Result;
use crate::store::sqlite::{Loot, LootRecord};

/// Opens whatever opens.
pub fn data(at: usize, copy: &Loot, keys: &Closure, found: &mut Found) -> Result<()> {
    copy.index_rows(|(page, tag, body)| {
        if let Some(customer) = index_row(keys, page, &tag, &body) {
            found
                .customers
                .entry(customer)
                .or_default()
                .index_rows
                .insert(at);
        }
    })?;
    copy.customers(|(customer, tenant, sealed)| {
        let context = MessageContext {
            deployment: keys.deployment(),
            label: Label::CustomerId,
            tenant: tenant.0,
            customer: customer.0,
            number: 0,
            extra: 0,
        };
        let opens = |key: &crate::crypto::IdentityKey| {
            message::open(&key.subkeys().ids, &context.bytes(), &sealed).is_ok()
        };
        if keys.identity(customer.0).is_some_and(opens) {
            found
                .customers
                .entry(customer.0)
                .or_default()
                .ids
                .insert(at);
        }
    })?;
    copy.records(|record| {
        let customer = record.key.customer.0;
        let destroyed = found.in_part.get(&customer).copied().unwrap_or(0);
        let (kept, erased) = fields(keys, &record, destroyed);
        if kept + erased + u64::from(id(keys, &record)) > 0 {
            let opened = found.customers.entry(customer).or_default();
            *opened.records.entry(at).or_default() += 1;
            opened.fields += kept;
            if erased > 0 {
                *opened.erased_fields.entry(at).or_default() += erased;
            }
        }
    })
}

/// The customer's number in an index row, whether customer or tombstone.
fn index_row(keys: &Closure, page: u64, tag: &[u8; 16], body: &[u8]) -> Option<u64> {
    let extra = u64::from_be_bytes(*tag.first_chunk()?);
    keys.index(page).find_map(|(tenant, page_keys)| {
        let context = MessageContext {
            deployment: keys.deployment(),
            label: Label::IndexRow,
            tenant: *tenant,
            customer: 0,
            number: page,
            extra,
        };
        let row = message::open(&page_keys.body, &context.bytes(), body).ok()?;
        let (_, rest) = row.expose().split_first_chunk::<32>()?;
        Some(u64::from_be_bytes(*rest.first_chunk()?))
    })
}

/// Whether the caller's id of a record opens.
fn id(keys: &Closure, record: &LootRecord) -> bool {
    let context = MessageContext {
        deployment: keys.deployment(),
        label: Label::RecordId,
        tenant: record.tenant.0,
        customer: record.key.customer.0,
        number: record.key.record.0,
        extra: u64::from(record.record_type),
    };
    keys.identity(record.key.customer.0).is_some_and(|key| {
        message::open(&key.subkeys().ids, &context.bytes(), &record.sealed_id).is_ok()
    })
}

/// How many fields of a record open, in any generation: those under a generation
/// after the `destroyed` ones, and those under one of them.
fn fields(keys: &Closure, record: &LootRecord, destroyed: u32) -> (u64, u64) {
    let Ok(body) = RecordBody::parse(&record.body) else {
        return (0, 0);
    };
    let (mut kept, mut erased) = (0, 0);
    for group in body.groups() {
        let customer = record.key.customer.0;
        let Some(key) = keys.field(customer, group.generation) else {
            continue;
        };
        let context = RecordContext {
            deployment: keys.deployment(),
            tenant: record.tenant.0,
            customer,
            generation: group.generation,
            record_type: record.record_type,
            record: record.key.record.0,
            schema_version: group.schema_version,
            revision: group.revision,
        };
        if let Ok(opener) = open_group(&key.subkeys().record, &context, group) {
            let fields = group.fields.iter();
            let open = fields.filter(|field| opener.open(field.number, field.ciphertext).is_ok());
            match group.generation > destroyed {
                true => kept += open.count() as u64,
                false => erased += open.count() as u64,
            }
        }
    }
    (kept, erased)
}
