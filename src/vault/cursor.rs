//! Cursors and page tokens: opaque, sealed under the tenant's key for one use,
//! so that they tell nothing, cannot be made up, and survive a restart.

use super::keyring::Tenant;
use crate::access::{Grant, Read};
use crate::crypto::{Deployment, Label, MessageContext, message};
use crate::error::{Error, Result, Violation};
use crate::id::CustomerNumber;
use crate::limits;
use crate::store::RecordKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

/// Seals and opens the cursors of one use.
pub struct Cursor {
    context: Vec<u8>,
    tenant: Arc<Tenant>,
    field: &'static str,
}

impl Cursor {
    /// The cursors of a stream: its record type and purpose.
    pub fn of_stream(deployment: Deployment, tenant: &Arc<Tenant>, grant: &Grant<Read>) -> Self {
        let purpose = grant.purpose().map_or(0, |purpose| purpose.number);
        let record_type = grant.target().record_type.number;
        Self::new(deployment, tenant, "cursor", record_type, purpose)
    }

    /// The page tokens of a listing of one type.
    pub fn of_list(deployment: Deployment, tenant: &Arc<Tenant>, record_type: u16) -> Self {
        Self::new(deployment, tenant, "page_token", record_type, 0)
    }

    /// The page tokens of a history of consent.
    pub fn of_consent(deployment: Deployment, tenant: &Arc<Tenant>) -> Self {
        Self::new(deployment, tenant, "page_token", 0, 0)
    }

    fn new(
        deployment: Deployment,
        tenant: &Arc<Tenant>,
        field: &'static str,
        record_type: u16,
        purpose: u16,
    ) -> Self {
        let context = MessageContext {
            deployment,
            label: Label::Cursor,
            tenant: tenant.number.0,
            customer: 0,
            number: u64::from(record_type),
            extra: u64::from(purpose),
        };
        Self {
            context: context.bytes(),
            tenant: Arc::clone(tenant),
            field,
        }
    }

    /// A cursor that goes on after this record.
    pub fn seal(&self, last: RecordKey) -> Result<String> {
        let mut place = Vec::with_capacity(16);
        place.extend(last.customer.0.to_be_bytes());
        place.extend(last.record.0.to_be_bytes());
        let sealed = message::seal(&self.tenant.keys.cursor, &self.context, &place)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What is answered to a cursor that does not belong here.
    pub fn refused(field: &'static str) -> Error {
        Error::invalid(Violation::new(
            field,
            "must be one that this method answered, for the same type, purpose and customer",
        ))
    }

    /// The record that a cursor goes on after; none for an empty one.
    pub fn open(&self, cursor: &str) -> Result<Option<RecordKey>> {
        if cursor.is_empty() {
            return Ok(None);
        }
        let refused = || Self::refused(self.field);
        if cursor.len() > limits::CURSOR_BYTES {
            return Err(refused());
        }
        let sealed = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let place = message::open(&self.tenant.keys.cursor, &self.context, &sealed)
            .map_err(|_| refused())?;
        let (customer, record) = place.expose().split_first_chunk().ok_or_else(refused)?;
        let record = record.try_into().map_err(|_| refused())?;
        let customer = CustomerNumber(u64::from_be_bytes(*customer));
        Ok(Some(RecordKey::new(customer, u64::from_be_bytes(record))))
    }
}
