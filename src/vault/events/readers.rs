//! Who read a customer's data, and for which purpose.

use crate::access::{Grant, Read};
use crate::crypto::mac::mac;
use crate::crypto::{Deployment, Label, MessageContext, message};
use crate::error::{Error, Lost, Result};
use crate::limits;
use crate::store::{CustomerRow, ReaderRow};
use crate::vault::keyring::CustomerKeyring;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Customer, purpose, service.
type Reading = (u64, u16, Arc<str>);

/// Readers that are on record already, as far as this node remembers: most
/// reads are by one of them, and cost one look here.
#[derive(Default)]
pub struct Readers(Mutex<HashSet<Reading>>);

/// A first read: on record once its audit entry is.
pub struct FirstRead {
    reading: Reading,
    /// The row, for the audit entry to take along.
    row: Option<Box<ReaderRow>>,
}

/// What a reader row says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhoRead {
    /// The purpose's number.
    pub number: u16,
    /// Its name.
    pub purpose: String,
    /// `tenant/service`.
    pub service: String,
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, HashSet<Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be put on record of a read; `None` where it is.
    pub fn first_read(
        &self,
        grant: &Grant<Read>,
        deployment: Deployment,
        keys: &CustomerKeyring,
        owner: &CustomerRow,
    ) -> Result<Option<FirstRead>> {
        let purpose = grant
            .purpose()
            .ok_or(Error::Internal("a read without a purpose"))?;
        let service = Arc::clone(grant.principal().name());
        let reading = (keys.customer.0, purpose.number, service);
        if self.lock().contains(&reading) {
            return Ok(None);
        }
        let who = WhoRead {
            number: purpose.number,
            purpose: purpose.name.to_string(),
            service: reading.2.to_string(),
        };
        let row = Some(Box::new(who.row(deployment, keys, owner)?));
        Ok(Some(FirstRead { reading, row }))
    }

    /// These are on record from here on.
    pub fn learn(&self, firsts: Vec<FirstRead>) {
        if firsts.is_empty() {
            return;
        }
        let mut known = self.lock();
        if known.len() >= limits::READERS_REMEMBERED {
            known.clear();
        }
        known.extend(firsts.into_iter().map(|first| first.reading));
    }
}

impl FirstRead {
    /// The row, for the read's audit entry to take along.
    pub fn take_row(&mut self) -> Option<Box<ReaderRow>> {
        self.row.take()
    }
}

impl WhoRead {
    fn row(
        &self,
        deployment: Deployment,
        keys: &CustomerKeyring,
        owner: &CustomerRow,
    ) -> Result<ReaderRow> {
        let under = keys.readers();
        let parts: [&[u8]; 2] = [&self.number.to_be_bytes(), self.service.as_bytes()];
        let whole = mac(&under.locator, &parts);
        let reader = *whole.first_chunk::<16>().unwrap_or(&[0; 16]);
        let json = serde_json::to_vec(self).map_err(|_| Error::Internal("a reader row"))?;
        Ok(ReaderRow {
            customer: keys.customer,
            reader,
            state_mac: owner.state_mac.clone(),
            sealed: message::seal(&under.row, &context(deployment, keys, reader), &json)?,
        })
    }

    /// Opens a reader row.
    pub fn open(
        deployment: Deployment,
        keys: &CustomerKeyring,
        reader: [u8; 16],
        sealed: &[u8],
    ) -> Result<Self> {
        let lost = |()| Error::DataLoss(Lost::Row);
        let under = keys.readers();
        let opened = message::open(&under.row, &context(deployment, keys, reader), sealed);
        let opened = opened.map_err(|_| lost(()))?;
        serde_json::from_slice(opened.expose()).map_err(|_| lost(()))
    }
}

fn context(deployment: Deployment, keys: &CustomerKeyring, reader: [u8; 16]) -> Vec<u8> {
    let reader = u128::from_be_bytes(reader);
    MessageContext {
        deployment,
        label: Label::Reader,
        tenant: keys.tenant.0,
        customer: keys.customer.0,
        number: u64::try_from(reader >> 64).unwrap_or(u64::MAX),
        extra: u64::try_from(reader & u128::from(u64::MAX)).unwrap_or(u64::MAX),
    }
    .bytes()
}
