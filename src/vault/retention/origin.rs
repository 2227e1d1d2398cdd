//! Where a record's values came from, and when: sealed beside the record, since
//! it is exact.

use crate::access::{Read, Write};
use crate::catalog::{Aged, Retention};
use crate::clock::{Day, Instant};
use crate::crypto::{Deployment, Label, MessageContext, message};
use crate::error::{Error, Lost, Result};
use crate::id::FieldNumber;
use crate::store::{RecordKey, RecordRow, Rows};
use crate::vault::keyring::CustomerKeyring;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of one value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// When it was collected: microseconds since 1970.
    pub collected: i64,
    /// From where.
    pub source: String,
}

/// What is known of a record's values, by field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origins(BTreeMap<u16, Origin>);

impl Origins {
    /// Reads those of a record; of one that was written before they were kept
    /// nothing is known.
    pub fn of(
        rows: &mut dyn Rows,
        deployment: Deployment,
        keys: &CustomerKeyring,
        key: RecordKey,
    ) -> Result<Self> {
        let lost = Error::DataLoss(Lost::Record);
        let Some(sealed) = rows.origin(key)?.filter(|sealed| !sealed.is_empty()) else {
            return Ok(Self::default());
        };
        let place = place(deployment, keys, key);
        let opened = message::open(&keys.origins(), &place, &sealed).map_err(|_| lost.clone())?;
        serde_json::from_slice(opened.expose()).map_err(|_| lost)
    }

    /// Reads them where a read's fields are kept by the day of collection.
    pub fn for_read(
        rows: &mut dyn Rows,
        deployment: Deployment,
        keys: &CustomerKeyring,
        key: RecordKey,
        read: &Read,
    ) -> Result<Self> {
        let by_collection = |retention| matches!(retention, Retention::SinceCollection(_));
        let needs = read
            .fields
            .iter()
            .any(|granted| by_collection(granted.field.retention));
        if needs {
            Self::of(rows, deployment, keys, key)
        } else {
            Ok(Self::default())
        }
    }

    /// Those of the record that a write leaves: of what it writes, anew.
    pub fn after(mut self, write: &Write, now: Instant) -> Self {
        let collected = write.origin.collected.unwrap_or(now).micros();
        for (field, _) in &write.values {
            let origin = Origin {
                collected,
                source: write.origin.source.clone(),
            };
            self.0.insert(field.number.0, origin);
        }
        self
    }

    /// Those of a record without some fields.
    pub fn without(mut self, fields: &[FieldNumber]) -> Self {
        self.0
            .retain(|number, _| !fields.contains(&FieldNumber(*number)));
        self
    }

    /// Those of a record of which only some fields are kept; `None` where that
    /// changes nothing.
    pub fn only(mut self, is_kept: impl Fn(FieldNumber) -> bool) -> Option<Self> {
        let before = self.0.len();
        self.0.retain(|number, _| is_kept(FieldNumber(*number)));
        (self.0.len() < before).then_some(self)
    }

    /// Sealed, to be stored beside the record.
    pub fn seal(
        &self,
        deployment: Deployment,
        keys: &CustomerKeyring,
        key: RecordKey,
    ) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|_| Error::Internal("an origin"))?;
        message::seal(&keys.origins(), &place(deployment, keys, key), &json)
    }

    /// What a value's age is counted from. Where its collection is not known it
    /// is as old as the record.
    pub fn aged(&self, field: FieldNumber, row: &RecordRow) -> Aged {
        let known = self.0.get(&field.0);
        let collected = known.map(|origin| Instant::from_micros(origin.collected).day());
        Aged {
            collected: collected.unwrap_or(row.created),
            updated: row.updated,
        }
    }

    /// The day of collection and the source of a value, where they are known.
    pub fn known(&self, field: FieldNumber) -> Option<(Day, &str)> {
        let origin = self.0.get(&field.0)?;
        let day = Instant::from_micros(origin.collected).day();
        Some((day, &origin.source))
    }
}

fn place(deployment: Deployment, keys: &CustomerKeyring, key: RecordKey) -> Vec<u8> {
    MessageContext {
        deployment,
        label: Label::Origin,
        tenant: keys.tenant.0,
        customer: keys.customer.0,
        number: key.record.0,
        extra: 0,
    }
    .bytes()
}
