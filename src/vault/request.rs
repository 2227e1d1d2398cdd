//! Request ids: a mutation that comes again changes nothing and gets its first
//! answer; the same id for another content is refused.

use crate::access::Principal;
use crate::clock::Day;
use crate::crypto::IdentityKeys;
use crate::crypto::mac::{mac, verify};
use crate::error::{Error, Result};
use crate::id::RequestId;
use crate::secret::SecretBytes;
use crate::store::{RequestClaim, RequestKey, RequestRow};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A mutation's request id and content.
#[derive(Clone)]
pub struct Request {
    /// The id within its principal's scope.
    pub key: RequestKey,
    content: Arc<SecretBytes>,
}

impl Request {
    /// The request of a principal with this content, part by part.
    pub fn new(principal: &Principal, id: RequestId, parts: &[&[u8]]) -> Self {
        let scope = Sha256::new()
            .chain_update(b"oubliette.v1/request\0")
            .chain_update(principal.tenant().as_str())
            .chain_update(b"/")
            .chain_update(principal.service().as_str())
            .chain_update(b"\0")
            .chain_update(id.0)
            .finalize();
        let mut key = [0; 16];
        for (slot, byte) in key.iter_mut().zip(scope) {
            *slot = byte;
        }
        let mut content = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            content.extend((part.len() as u64).to_be_bytes());
            content.extend(*part);
        }
        Self {
            key: RequestKey(key),
            content: Arc::new(SecretBytes::new(content)),
        }
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
