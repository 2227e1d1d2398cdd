//! Request ids: a mutation that comes again changes nothing and gets its first
//! answer; the same id for another content is refused.

use crate::access::Principal;
use crate::clock::Day;
use crate::crypto::IdentityKeys;
use crate::crypto::mac::{mac, verify};
use crate::error::{Error, Result};
use crate::id::{CustomerNumber, RequestId};
use crate::secret::SecretBytes;
use crate::store::{RequestClaim, RequestKey, RequestRow, Rows};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The request id of a step of a larger change: the same parts have the same id,
/// and no caller has it by chance.
pub fn step_id(parts: &[&[u8]]) -> RequestId {
    let mut hash = Sha256::new().chain_update(b"oubliette.v1/step\0");
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    RequestId(hash.first_chunk().copied().unwrap_or_default())
}

/// A mutation's request id and content.
#[derive(Clone)]
pub struct Request {
    key: RequestKey,
    content: Arc<SecretBytes>,
}

impl Request {
    /// The request of a principal with this content, part by part.
    pub fn new(principal: &Principal, id: RequestId, parts: &[&[u8]]) -> Self {
        let scope: [u8; 32] = Sha256::new()
            .chain_update(b"oubliette.v1/request\0")
            .chain_update(principal.name().as_bytes())
            .finalize()
            .into();
        let scope = scope.first_chunk().copied().unwrap_or_default();
        let mut content = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            content.extend((part.len() as u64).to_be_bytes());
            content.extend(*part);
        }
        Self {
            key: RequestKey {
                scope: i64::from_be_bytes(scope),
                id: id.0,
            },
            content: Arc::new(SecretBytes::new(content)),
        }
    }

    /// What became of it when it was made before, today or yesterday.
    pub fn known(&self, rows: &mut dyn Rows, today: Day) -> Result<Option<RequestRow>> {
        rows.request(&self.key, today)
    }

    /// What became of it when it was made before, of this customer and with
    /// this content; REQUEST_ID_REUSED where it was another.
    pub fn again(
        &self,
        rows: &mut dyn Rows,
        (customer, keys): (CustomerNumber, &IdentityKeys),
        today: Day,
    ) -> Result<Option<RequestRow>> {
        let Some(known) = self.known(rows, today)? else {
            return Ok(None);
        };
        if known.customer != customer {
            return Err(Error::RequestIdReused);
        }
        self.is_same(keys, &known).map(|()| Some(known))
    }

    /// The claim to store: its digest dies with the customer.
    pub fn claim(&self, keys: &IdentityKeys, today: Day) -> RequestClaim {
        RequestClaim {
            key: self.key,
            digest: mac(&keys.request_digest, &[self.content.expose()]),
            today,
        }
    }

    /// That a known request has the same content; `keys` are of the customer
    /// that it was about.
    pub fn is_same(&self, keys: &IdentityKeys, known: &RequestRow) -> Result<()> {
        verify(
            &keys.request_digest,
            &[self.content.expose()],
            &known.digest,
        )
        .map_err(|_| Error::RequestIdReused)
    }
}
