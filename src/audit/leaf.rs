//! A leaf of the log: one line of JSON, keys in this order, nothing optional
//! left out, so that a tool of any kind reads it. It holds no personal data:
//! whom it is about is a tag that only the customer's own key explains.

use super::{Call, Subject};
use serde::{Deserialize, Serialize};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was allowed and done.
    Allowed,
    /// A rule denied it.
    Denied,
    /// It was malformed, missed its target or failed.
    Failed,
    /// It was refused before it was read: overload or a quota. `count` says
    /// how many such calls of the principal this leaf stands for.
    Shed,
    /// An erasure is about to destroy the customer's keys.
    Intended,
    /// The customer's keys are destroyed (L2).
    Shredded,
    /// The customer's rows are gone (L3).
    Purged,
}

/// What a leaf says beyond how a call ended: what an auditor counts on. In the
/// leaf's JSON it is an object with one key, the fact's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// An erasure destroyed a customer's keys.
    Shredded {
        /// SHA-256 of the wrapped keys, in hexadecimal.
        keys: String,
        /// The epoch whose destruction makes it final (L4).
        epoch: u32,
    },
    /// What nobody holds of a customer was erased; the rest goes on under the
    /// next generation of the field key.
    ShreddedInPart {
        /// SHA-256 of the wrapped keys, in hexadecimal.
        keys: String,
        /// The epoch whose destruction makes it final (L4).
        epoch: u32,
        /// The newest generation that was destroyed.
        generation: u32,
    },
    /// What is known of a customer left, or what they may take along.
    Exported {
        /// The names of the record types of which records left.
        types: Vec<String>,
    },
    /// Something happened to a person's request.
    Request {
        /// `requests/{request}`.
        request: String,
        /// What was asked for.
        kind: &'static str,
        /// What happened.
        event: &'static str,
        /// Where it stands now.
        state: &'static str,
    },
    /// A restriction or a hold was placed or lifted.
    Restraint {
        /// `restriction` or `hold`.
        kind: &'static str,
        /// `placed`, `lifted`, `released` or `replayed`.
        event: &'static str,
        /// Why processing is restricted.
        cause: &'static str,
        /// The record type that is held; 0: all of them.
        record_type: u32,
        /// The field that is held; 0: all of them.
        field: u32,
        /// Of a hold whose release took an approval.
        #[serde(flatten)]
        agreed: Option<Agreed>,
    },
    /// Calls of this start of the server ended without a durable entry, so
    /// that nothing left the vault for them.
    Unwritten {
        /// Their numbers, as ranges: first and last.
        calls: Vec<(u64, u64)>,
    },
    /// The vault came back from a backup.
    Restored {
        /// Customers that were erased since, and stay so.
        kept_dead: u64,
        /// Deletions of records that were made again.
        deletions: u64,
        /// Withdrawals and objections that are made again at the start.
        narrowed: u64,
        /// Customers without keys, whose rows were removed.
        without_keys: u64,
        /// Customers with keys, of whom no data is there.
        lost: u64,
        /// Whether the ledger was known to be complete.
        proven: bool,
        /// Why the restore was made without proof, where it was.
        reason: String,
        /// Who approved that.
        approved_by: Vec<String>,
    },
    /// A customer's say was put on record.
    Consent {
        /// What was said: a word of the Data Privacy Vocabulary.
        status: &'static str,
        /// The event that says it, by its number.
        event: u32,
    },
    /// What a signal from elsewhere says was put on record, purpose by purpose.
    Imported {
        /// `gpc` or `tcf`.
        signal: &'static str,
        /// The first event of it, by its number.
        first: u32,
        /// The last.
        last: u32,
        /// The numbers of the purposes that it says yes to.
        yes: Vec<u16>,
        /// And no.
        no: Vec<u16>,
    },
    /// An epoch's closing began: a new one is open.
    EpochOpened {
        /// The new epoch.
        epoch: u32,
        /// The one that is being closed.
        closing: u32,
    },
    /// A new generation of field keys began, by a job: the ones before are
    /// deactivated (NIST SP 800-57 part 1, section 7.4).
    RotationBegun {
        /// The job that re-encrypts.
        job: u64,
    },
    /// A customer's field keys up to a generation are compromised (section
    /// 7.5); nothing under them is read until it is re-encrypted.
    KeyCompromised {
        /// The last of these generations.
        generation: u32,
        /// The job that re-encrypts.
        job: u64,
        /// Who said so.
        requester: String,
        /// Who approved it; empty: it takes nobody's approval.
        approver: String,
    },
    /// Old generations of field keys are destroyed: no record needs them.
    KeysDestroyed {
        /// The job that re-encrypted.
        job: u64,
        /// How many keys.
        keys: u64,
        /// "destroyed" or "destroyed compromised" (sections 7.6 and 7.7).
        state: &'static str,
    },
    /// A second principal approved or rejected.
    ApprovalDecided {
        /// The request.
        approval: u64,
        /// What was asked for.
        action: &'static str,
        /// To what: an epoch's number, for one.
        target: u64,
        /// Whether it was approved.
        approved: bool,
        /// Who had asked; empty: the vault itself.
        requester: String,
        /// Who decided.
        decider: String,
    },
    /// An epoch is destroyed: the certificate of its closing. Whoever was
    /// erased under it cannot be read from any backup.
    EpochClosed {
        /// Which.
        epoch: u32,
        /// What each provider said of its key afterwards.
        receipts: Vec<Receipt>,
        /// What that is worth, at the least.
        assurance: &'static str,
        /// How many customers' erasures became final with it.
        erased: u64,
        /// The Merkle root (RFC 6962, 2.1) over the sorted fingerprints of
        /// their destroyed keys, in hexadecimal.
        root: String,
        /// Who asked for it; empty: the vault itself.
        requester: String,
        /// Who approved it; empty: it takes nobody's approval.
        approver: String,
        /// Whether a key backup under the next epoch was taken and tested.
        backup: &'static str,
    },
    /// Old entries are pruned: they go once this is under a checkpoint.
    Pruned {
        /// Up to which number, from the first on: whole bundles of 256.
        entries: u64,
        /// None of them is of a call that came later, in microseconds since
        /// 1970.
        until: i64,
        /// How many of them stay, since it is counted on what they say.
        kept: u64,
        /// The Merkle root (RFC 6962, 2.1) over those that stay, in
        /// hexadecimal.
        root: String,
        /// How far calls were numbered then, of each node.
        calls: Vec<Numbered>,
        /// Who asked for it.
        requester: String,
        /// Who approved it.
        approver: String,
    },
    /// The key providers of the configuration were replaced while serving.
    Providers {
        /// The kinds that take new epochs.
        taking: Vec<&'static str>,
        /// The kinds that only open and destroy what they have.
        retiring: Vec<&'static str>,
        /// Who approved; empty: it takes nobody's approval.
        approver: String,
    },
    /// Something is wrong with what the principal did.
    Signal {
        /// What, as a word.
        kind: &'static str,
        /// How many of what was counted.
        count: u64,
        /// Whether the principal is blocked from here on.
        blocks: bool,
    },
    /// The principal is not blocked any more.
    BlockLifted {
        /// `hand`.
        by: &'static str,
    },
    /// The vault let go of every key.
    Sealed {
        /// `hand`, or `provider`: none answered for as long as is allowed.
        by: &'static str,
    },
    /// The master keys were opened again.
    Unsealed {
        /// `hand`, or `provider`: it answers again.
        by: &'static str,
    },
}

/// The calls of a node's newest start, as far as pruned entries tell of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The node.
    pub node: String,
    /// Its start.
    pub boot: u64,
    /// The highest number of a call.
    pub highest: u64,
    /// Those up to there without an entry so far, as ranges: first and last.
    pub missing: Vec<(u64, u64)>,
}

/// Two people who did something together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agreed {
    /// Who asked for it and did it.
    pub requester: String,
    /// Who approved it.
    pub approver: String,
}

/// What a provider said of an epoch's key after it was told to destroy it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The kind of provider.
    pub provider: String,
    /// Its own name for the key.
    pub key: String,
    /// Its word: "gone".
    pub state: &'static str,
}

/// What a leaf says, but for the subject.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// How it ended.
    pub verdict: Verdict,
    /// The stable reason, where it was not allowed.
    pub reason: &'static str,
    /// The purpose, where one was given and known.
    pub purpose: String,
    /// The ids of the deciding policies.
    pub policies: Vec<String>,
    /// The catalog's version that decided.
    pub catalog: u32,
    /// The record type, where one was given and known.
    pub record_type: String,
    /// The numbers of the fields that were opened, written or refused.
    pub fields: Vec<u16>,
    /// How many records, or how many calls of a shed leaf.
    pub count: u64,
    /// What it says beyond that.
    pub fact: Option<Fact>,
}

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    time: i64,
    node: &'a str,
    boot: u64,
    call: u64,
    principal: &'a str,
    method: &'static str,
    verdict: Verdict,
    reason: &'static str,
    purpose: &'a str,
    policies: &'a [String],
    catalog: u32,
    record_type: &'a str,
    fields: &'a [u16],
    count: u64,
    fact: Option<&'a Fact>,
    nonce: &'a str,
    subject: &'a str,
    detail: &'a str,
}

impl Leaf {
    /// A leaf that says only how it ended.
    pub fn new(verdict: Verdict, reason: &'static str) -> Self {
        Self {
            verdict,
            reason,
            purpose: String::new(),
            policies: Vec::new(),
            catalog: 0,
            record_type: String::new(),
            fields: Vec::new(),
            count: 0,
            fact: None,
        }
    }

    /// The bytes that the log hashes.
    pub(super) fn bytes(&self, node: &str, boot: u64, call: &Call, subject: &Subject) -> Vec<u8> {
        let (mut nonce, mut tag, mut detail) = ([0; 32], [0; 64], [0; 64]);
        let line = Line {
            v: 1,
            time: call.time.micros(),
            node,
            boot,
            call: call.number,
            principal: call.principal.as_deref().unwrap_or(""),
            method: call.method,
            verdict: self.verdict,
            reason: self.reason,
            purpose: &self.purpose,
            policies: &self.policies,
            catalog: self.catalog,
            record_type: &self.record_type,
            fields: &self.fields,
            count: self.count,
            fact: self.fact.as_ref(),
            nonce: digits(&subject.nonce, &mut nonce),
            subject: digits(&subject.tag, &mut tag),
            detail: digits(&subject.detail_hash, &mut detail),
        };
        let mut bytes = Vec::with_capacity(512);
        // Numbers and strings always serialize; nothing else is in a line.
        if serde_json::to_writer(&mut bytes, &line).is_err() {
            bytes.clear();
        }
        bytes
    }
}

fn digits<'a>(bytes: &[u8], out: &'a mut [u8]) -> &'a str {
    if hex::encode_to_slice(bytes, out).is_err() {
        return "";
    }
    std::str::from_utf8(out).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::super::unwritten::Unwritten;
    use super::*;
    use crate::clock::Instant;
    use crate::limits;
    use std::sync::Arc;

    /// C2SP tlog-tiles has room for 65,535 bytes, and the writer refuses more.
    #[test]
    fn no_leaf_that_limits_allow_is_too_long_for_a_bundle() {
        let label = "x".repeat(limits::LABEL_BYTES);
        let principal = Arc::from(format!("{label}/{label}"));
        let unwritten = Arc::default();
        let time = Instant::from_micros(i64::MIN);
        let call = Call::new(time, u64::MAX, Some(principal), "Longest", unwritten);
        let mut leaf = Leaf::new(Verdict::Intended, "LONGEST");
        leaf.purpose.clone_from(&label);
        leaf.record_type.clone_from(&label);
        leaf.policies = vec![label.clone(); limits::POLICIES];
        leaf.fields = vec![limits::FIELD_NUMBER_MAX; limits::FIELDS_PER_TYPE];
        let subject = Subject::nobody().unwrap();
        let widest = leaf.bytes(&label, u64::MAX, &call, &subject).len();

        leaf.fact = Some(Fact::Exported {
            types: vec![label.clone(); limits::CATALOG_ENTRIES],
        });
        let exported = leaf.bytes(&label, u64::MAX, &call, &subject).len();

        let calls = Unwritten::default();
        for call in 0..2 * limits::UNWRITTEN_RANGES as u64 {
            calls.add((u64::MAX - 2 * call, u64::MAX - 2 * call));
        }
        let calls = calls.take();
        let mut told = Leaf::new(Verdict::Failed, "LONGEST");
        told.fact = Some(Fact::Unwritten { calls });
        let told = told.bytes(&label, u64::MAX, &call, &subject).len();
        let half = vec![u16::MAX; limits::CATALOG_ENTRIES / 2];
        leaf.fields.clear();
        leaf.fact = Some(Fact::Imported {
            signal: "gpc",
            first: u32::MAX,
            last: u32::MAX,
            yes: half.clone(),
            no: half,
        });
        let imported = leaf.bytes(&label, u64::MAX, &call, &subject).len();
        let most = limits::LEAF_BYTES;
        assert!(imported <= most, "{imported} of {most}");
        assert!(widest.max(told) <= most, "{widest} and {told} of {most}");
        assert!(exported <= most, "{exported} of {most}");
        assert!(widest.min(told) > most / 2, "{widest} and {told} of {most}");
    }
}
