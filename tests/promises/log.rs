//! The audit log as an auditor reads it: straight from the file.

use crate::place::{Place, until};
use rusqlite::Connection;
use serde::Deserialize;

/// A leaf, taken apart. A key that is not here, or one that is missing, is an
/// error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // The form is what is checked.
pub struct Leaf {
    pub v: u8,
    pub time: i64,
    pub node: String,
    pub boot: u64,
    pub call: u64,
    pub principal: String,
    pub method: String,
    pub verdict: String,
    pub reason: String,
    pub purpose: String,
    pub policies: Vec<String>,
    pub catalog: u32,
    pub record_type: String,
    pub fields: Vec<u16>,
    pub count: u64,
    pub fact: Option<Fact>,
    pub nonce: String,
    pub subject: String,
    pub detail: String,
}

/// What a leaf says beyond how a call ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(dead_code)] // The form is what is checked.
pub enum Fact {
    /// An erasure's leaf, of the keys.
    Shredded { keys: String, epoch: u32 },
    /// What nobody holds was erased.
    ShreddedInPart {
        keys: String,
        epoch: u32,
        generation: u32,
    },
    /// What is known of a customer left.
    Exported { types: Vec<String> },
    /// Something happened to a person's request.
    Request {
        request: String,
        kind: String,
        event: String,
        state: String,
    },
    /// A restriction or a hold was placed or lifted.
    Restraint {
        kind: String,
        event: String,
        cause: String,
        record_type: u32,
        field: u32,
        #[serde(default)]
        requester: String,
        #[serde(default)]
        approver: String,
    },
    /// Calls that ended without an entry.
    Unwritten { calls: Vec<(u64, u64)> },
    /// What a customer said, and in which event.
    Consent { status: String, event: u32 },
    Imported {
        signal: String,
        first: u32,
        last: u32,
        yes: Vec<u16>,
        no: Vec<u16>,
    },
    /// Something is wrong with what the principal did.
    Signal {
        kind: String,
        count: u64,
        blocks: bool,
    },
    /// The principal is not blocked any more.
    BlockLifted { by: String },
    /// A new epoch is open.
    EpochOpened { epoch: u32, closing: u32 },
    /// A new generation of field keys.
    RotationBegun { job: u64 },
    /// A customer's keys are compromised.
    KeyCompromised {
        generation: u32,
        job: u64,
        requester: String,
        approver: String,
    },
    /// Old generations are destroyed.
    KeysDestroyed { job: u64, keys: u64, state: String },
    /// A second principal approved or rejected.
    ApprovalDecided {
        approval: u64,
        action: String,
        target: u64,
        approved: bool,
        requester: String,
        decider: String,
    },
    /// An epoch's certificate.
    EpochClosed {
        epoch: u32,
        receipts: Vec<Receipt>,
        assurance: String,
        erased: u64,
        root: String,
        requester: String,
        approver: String,
        backup: String,
    },
    /// Old entries are pruned.
    Pruned {
        entries: u64,
        until: i64,
        kept: u64,
        root: String,
        calls: Vec<serde_json::Value>,
        requester: String,
        approver: String,
    },
    /// The key providers were replaced while serving.
    Providers {
        taking: Vec<String>,
        retiring: Vec<String>,
        approver: String,
    },
    /// The vault let go of every key.
    Sealed { by: String },
    /// The master keys were opened again.
    Unsealed { by: String },
}

/// What a provider said of an epoch's key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // The form is what is checked.
pub struct Receipt {
    pub provider: String,
    pub key: String,
    pub state: String,
}

impl Leaf {
    /// Fingerprint and epoch of the keys that an erasure destroyed.
    pub fn shredded(&self) -> Option<(&str, u32)> {
        match self.fact.as_ref()? {
            Fact::Shredded { keys, epoch } => Some((keys.as_str(), *epoch)),
            _ => None,
        }
    }

    /// Whether the vault was sealed (true) or unsealed, and by what.
    pub fn sealing(&self) -> Option<(bool, &str)> {
        match self.fact.as_ref()? {
            Fact::Sealed { by } => Some((true, by)),
            Fact::Unsealed { by } => Some((false, by)),
            _ => None,
        }
    }

    /// The providers that take new epochs, those that are retiring, and who
    /// approved of it.
    pub fn providers(&self) -> Option<(&[String], &[String], &str)> {
        match self.fact.as_ref()? {
            Fact::Providers {
                taking,
                retiring,
                approver,
            } => Some((taking, retiring, approver)),
            _ => None,
        }
    }

    /// Who, what, how it ended and why.
    pub fn told(&self) -> (&str, &str, &str, &str) {
        (&self.principal, &self.method, &self.verdict, &self.reason)
    }
}

/// The log of a place, and how far it was read.
pub struct Log {
    db: Connection,
    read: i64,
}

impl Log {
    /// From its first leaf.
    pub fn of(place: &Place) -> Self {
        let db = place.vault();
        Self { db, read: 0 }
    }

    /// How many leaves there are. Their numbers have no hole.
    pub fn count(&self) -> i64 {
        let sql = "SELECT count(*), coalesce(min(number), 1), coalesce(max(number), 0) FROM leaves";
        let (count, first, last): (i64, i64, i64) = self
            .db
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .expect("a count");
        assert_eq!((first, last), (1, count), "the log has a hole");
        count
    }

    /// Forgets what is there by now.
    pub fn skip(&mut self) {
        self.read = self.count();
    }

    /// The leaves that were not read before.
    pub fn new_leaves(&mut self) -> Vec<Leaf> {
        let sql = "SELECT number, leaf FROM leaves WHERE number > ?1 ORDER BY number";
        let mut statement = self.db.prepare_cached(sql).expect("a statement");
        let mut rows = statement.query([self.read]).expect("rows");
        let (mut leaves, mut last) = (Vec::new(), self.read);
        while let Some(row) = rows.next().expect("a row") {
            let number: i64 = row.get(0).expect("a number");
            assert_eq!(number, last + 1, "the log has a hole");
            let bytes: Vec<u8> = row.get(1).expect("bytes");
            let leaf = serde_json::from_slice(&bytes);
            leaves.push(leaf.unwrap_or_else(|error| panic!("leaf {number}: {error}")));
            last = number;
        }
        drop(rows);
        drop(statement);
        self.read = last;
        leaves
    }

    /// The new leaves, once there are at least `count`.
    pub async fn at_least(&mut self, count: usize) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        until("there are leaves enough", async || {
            leaves.extend(self.new_leaves());
            leaves.len() >= count
        })
        .await;
        leaves
    }
}
