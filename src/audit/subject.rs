//! Whom a leaf is about, said so that only the customer's own key understands
//! it: a tag, the sealed detail, and a history row. Where a leaf is about
//! nobody the same bytes are random, so that the log does not tell which.

use super::history;
use crate::clock::Instant;
use crate::crypto::mac::mac;
use crate::crypto::{
    Deployment, IdentityKey, IdentityKeys, Label, MessageContext, message, random_bytes,
};
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::store::HistoryRow;
use sha2::{Digest, Sha256};

/// What the detail says: which customer, which records at which revisions.
pub struct Detail {
    /// Whose customer.
    pub tenant: TenantNumber,
    /// Which customer.
    pub customer: CustomerNumber,
    /// Record numbers and revisions.
    pub records: Vec<(u64, u64)>,
}

/// A leaf's subject.
pub struct Subject {
    pub(super) nonce: [u8; 16],
    pub(super) tag: [u8; 32],
    pub(super) detail: Vec<u8>,
    pub(super) detail_hash: [u8; 32],
    pub(super) history: Option<HistoryRow>,
}

/// The detail is padded to a multiple of this, so that its length says nothing
/// of a single record's numbers.
const DETAIL_STEP: usize = 64;

fn encode(detail: &Detail) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DETAIL_STEP);
    bytes.extend(detail.customer.0.to_be_bytes());
    bytes.extend(
        u32::try_from(detail.records.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    for (record, revision) in &detail.records {
        bytes.extend(record.to_be_bytes());
        bytes.extend(revision.to_be_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(DETAIL_STEP), 0);
    bytes
}

/// Where a detail opens.
fn place(
    deployment: Deployment,
    (tenant, customer): (TenantNumber, CustomerNumber),
    nonce: &[u8; 16],
) -> Vec<u8> {
    let [number, extra] = halves(nonce);
    let context = MessageContext {
        deployment,
        label: Label::AuditDetail,
        tenant: tenant.0,
        customer: customer.0,
        number,
        extra,
    };
    context.bytes()
}

impl Detail {
    /// Opens the detail of a leaf about a customer; `None` where it is not
    /// theirs.
    pub fn open(
        deployment: Deployment,
        keys: &IdentityKeys,
        (tenant, customer): (TenantNumber, CustomerNumber),
        nonce: &[u8; 16],
        sealed: &[u8],
    ) -> Option<Self> {
        let place = place(deployment, (tenant, customer), nonce);
        let opened = message::open(&keys.audit_detail, &place, sealed).ok()?;
        let (whose, rest) = opened.expose().split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
        let (pairs, _) = rest.as_chunks::<16>();
        let records = pairs.get(..count)?.iter().map(|pair| {
            let [record, revision] = halves(pair);
            (record, revision)
        });
        (u64::from_be_bytes(*whose) == customer.0).then(|| Self {
            tenant,
            customer,
            records: records.collect(),
        })
    }
}

impl Subject {
    /// About a customer.
    pub fn of(
        deployment: Deployment,
        keys: &IdentityKeys,
        detail: &Detail,
        now: Instant,
    ) -> Result<Self> {
        // One draw for both.
        let (nonce, row_nonce) = split(random_bytes::<24>()?);
        let place = place(deployment, (detail.tenant, detail.customer), &nonce);
        let sealed = message::seal(&keys.audit_detail, &place, &encode(detail))?;
        let slot = history::slot(now);
        Ok(Self {
            tag: mac(&keys.audit_tag, &[&nonce]),
            nonce,
            detail_hash: Sha256::digest(&sealed).into(),
            detail: sealed,
            history: Some(HistoryRow {
                slot,
                locator: history::locator(keys, slot),
                nonce: row_nonce,
                mask: history::mask(keys, slot, &row_nonce),
            }),
        })
    }

    /// About nobody, for the work that somebody takes: how long a refusal takes
    /// does not tell whether there is such a customer.
    pub fn decoy(deployment: Deployment, now: Instant) -> Result<Self> {
        let keys = IdentityKey::generate()?.subkeys();
        let detail = Detail {
            tenant: TenantNumber(0),
            customer: CustomerNumber(0),
            records: Vec::new(),
        };
        let made = Self::of(deployment, &keys, &detail, now)?;
        Ok(Self {
            history: None,
            ..made
        })
    }

    /// About nobody: random bytes of the same shape, and no history.
    pub fn nobody() -> Result<Self> {
        let detail = random_bytes::<DETAIL_OF_ONE>()?;
        Ok(Self {
            nonce: random_bytes()?,
            tag: random_bytes()?,
            detail_hash: Sha256::digest(detail).into(),
            detail: detail.to_vec(),
            history: None,
        })
    }
}

/// Version, suite, salt, commitment, 64 bytes, tag.
const DETAIL_OF_ONE: usize = 2 + 24 + 32 + DETAIL_STEP + 16;

fn split(drawn: [u8; 24]) -> ([u8; 16], [u8; 8]) {
    let (mut first, mut rest) = ([0; 16], [0; 8]);
    let slots = first.iter_mut().chain(&mut rest);
    slots.zip(drawn).for_each(|(slot, byte)| *slot = byte);
    (first, rest)
}

fn halves(bytes: &[u8; 16]) -> [u64; 2] {
    let whole = u128::from_be_bytes(*bytes);
    #[allow(clippy::cast_possible_truncation)] // The two halves, on purpose.
    [(whole >> 64) as u64, whole as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_about_nobody_looks_like_one_about_a_customer() {
        let keys = IdentityKey::generate().unwrap().subkeys();
        let detail = Detail {
            tenant: TenantNumber(1),
            customer: CustomerNumber(7),
            records: vec![(1, 1)],
        };
        let now = Instant::now();
        let some = Subject::of(Deployment([0; 16]), &keys, &detail, now).unwrap();
        let none = Subject::nobody().unwrap();
        assert_eq!(some.detail.len(), none.detail.len());
        let decoy = Subject::decoy(Deployment([0; 16]), now).unwrap();
        assert_eq!(some.detail.len(), decoy.detail.len());
        assert!(decoy.history.is_none());
        let again = Subject::of(Deployment([0; 16]), &keys, &detail, now).unwrap();
        assert_ne!(some.tag, again.tag, "tags differ from entry to entry");
        let locator = |s: &Subject| s.history.as_ref().map(|h| h.locator);
        assert_eq!(
            locator(&some),
            locator(&again),
            "the key's owner finds both"
        );
    }
}
