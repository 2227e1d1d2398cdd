//! kill -9 under sixteen writers, again and again: what was acknowledged is
//! there, what was erased stays erased, every plaintext that somebody received
//! is in the log, and the log has no hole.

use crate::caller::{Answer, Caller, connect, name_on, named, put_request, record, update_request};
use crate::log::Log;
use crate::place::{Place, is_long, until};
use crate::process::Process;
use crate::rules::WORKERS;
use crate::tampered::Dice;
use oubliette::client::request_id;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a writer does next. Its request id makes a repeat the same change.
#[derive(Clone)]
enum Op {
    Create(String, String),
    Put(Box<oubliette::pb::PutRecordRequest>, String),
    Update(Box<oubliette::pb::UpdateRecordRequest>, String),
    Erase(String, String),
    Read(String),
}

/// What a writer knows: only it writes to its customers.
struct Writer {
    number: usize,
    dice: Dice,
    customers: usize,
    /// The card's name on it, by customer; `None`: no card yet.
    alive: BTreeMap<String, Option<String>>,
    erased: Vec<String>,
    /// What was under way when the process was killed.
    pending: Option<Op>,
    /// Plaintexts that it received.
    received: usize,
    /// Changes that were acknowledged.
    acknowledged: usize,
}

impl Writer {
    fn new(number: usize) -> Self {
        Self {
            number,
            dice: Dice::new(number as u64),
            customers: 0,
            alive: BTreeMap::new(),
            erased: Vec::new(),
            pending: None,
            received: 0,
            acknowledged: 0,
        }
    }

    fn principal(&self) -> String {
        format!("acme/w{:02}", self.number)
    }

    fn next(&mut self) -> Op {
        let ids: Vec<&String> = self.alive.keys().collect();
        let turn = self.dice.below(100);
        if ids.len() < 3 || turn < 10 {
            self.customers += 1;
            return Op::Create(format!("w{}-{}", self.number, self.customers), request_id());
        }
        let id = (*self.dice.pick(&ids)).clone();
        let value = format!("value {} of {id}", request_id());
        let name = record(&id, "r");
        match turn {
            10..15 => Op::Erase(id, request_id()),
            15..50 => Op::Read(id),
            50..75 if self.alive[&id].is_some() => {
                Op::Update(Box::new(update_request(&name, &value)), value)
            }
            _ => Op::Put(Box::new(put_request(&name, named(&value))), value),
        }
    }

    async fn make(&mut self, caller: &Caller, op: &Op) -> Answer<()> {
        let id_of = |name: &str| name.split('/').nth(1).expect("an id").to_owned();
        match op {
            Op::Create(id, ask) => {
                caller.create_as(id, false, ask.clone()).await?;
                self.alive.insert(id.clone(), None);
            }
            Op::Put(put, value) => {
                caller.put_as((**put).clone()).await?;
                self.alive.insert(id_of(&put.name), Some(value.clone()));
            }
            Op::Update(update, value) => {
                caller.update_as((**update).clone()).await?;
                self.alive.insert(id_of(&update.name), Some(value.clone()));
            }
            Op::Erase(id, ask) => {
                caller.erase_as(id, ask.clone()).await?;
                self.alive.remove(id);
                self.erased.push(id.clone());
            }
            Op::Read(id) => {
                let expected = self.alive.get(id).cloned().flatten();
                match caller.get(&record(id, "r")).await {
                    Ok(card) => {
                        assert_eq!(name_on(&card), expected.as_deref(), "{id}");
                        self.received += 1;
                    }
                    Err(failure) if failure.is("RECORD_NOT_FOUND") => assert_eq!(expected, None),
                    Err(failure) => return Err(failure),
                }
                return Ok(());
            }
        }
        self.acknowledged += 1;
        Ok(())
    }

    /// Works until the process is gone.
    async fn work(mut self, caller: Caller, done: Arc<AtomicUsize>) -> Self {
        loop {
            let op = match self.pending.take() {
                Some(op) => op,
                None => self.next(),
            };
            match self.make(&caller, &op).await {
                Ok(()) => {
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Err(failure) => {
                    self.pending = Some(op);
                    if failure.reason.is_empty() {
                        return self;
                    }
                    // The vault lives and says why: to be asked again.
                    assert!(failure.retry_after.is_some(), "{failure}");
                }
            }
        }
    }

    /// All that was acknowledged is there.
    async fn check(&mut self, caller: &Caller) {
        if let Some(op) = self.pending.clone() {
            let made = self.make(caller, &op).await;
            made.unwrap_or_else(|failure| panic!("a repeat was refused: {failure}"));
            self.pending = None;
        }
        let ids: Vec<String> = self.alive.keys().cloned().collect();
        for ids in ids.chunks(100) {
            let names: Vec<String> = ids.iter().map(|id| record(id, "r")).collect();
            let cards = caller.batch(&names).await.expect("read");
            for (id, card) in ids.iter().zip(cards) {
                match (&self.alive[id], card) {
                    (Some(value), Ok(card)) => {
                        assert_eq!(name_on(&card), Some(value.as_str()), "{id} is lost");
                        self.received += 1;
                    }
                    (None, Err(reason)) => assert_eq!(reason, "RECORD_NOT_FOUND", "{id}"),
                    (_, card) => panic!("{id}: {:?}", card.err()),
                }
            }
        }
        for ids in self.erased.chunks(100) {
            let names: Vec<String> = ids.iter().map(|id| record(id, "r")).collect();
            for (id, card) in ids.iter().zip(caller.batch(&names).await.expect("read")) {
                let reason = card.err().unwrap_or_else(|| panic!("{id} came back"));
                assert_eq!(reason, "CUSTOMER_ERASED", "{id}");
            }
        }
    }
}

/// Plaintexts and changes that the log knows of, by principal.
fn written_down(place: &Place) -> BTreeMap<String, (u64, u64)> {
    let mut known: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut calls = BTreeSet::new();
    for leaf in Log::of(place).new_leaves() {
        let (plaintexts, changes) = known.entry(leaf.principal).or_default();
        let is_first = calls.insert((leaf.boot, leaf.call));
        match (leaf.method.as_str(), leaf.verdict.as_str()) {
            ("GetRecord", "allowed") => *plaintexts += leaf.count,
            // The first is the call's own; then one for each customer.
            ("BatchGetRecords", "allowed") if !is_first => *plaintexts += leaf.count,
            ("PutRecord" | "UpdateRecord" | "CreateCustomer", "allowed")
            | ("EraseCustomer", "intended" | "allowed") => *changes += 1,
            _ => {}
        }
    }
    known
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_sixteen_writers_loses_nothing_that_was_acknowledged() {
    let cycles = if is_long() { 1_000 } else { 20 };
    let place = Place::new();
    let mut server = Process::start(&place);
    let mut writers: Vec<Writer> = (0..WORKERS).map(Writer::new).collect();
    let mut dice = Dice::new(11);
    let mut in_flight = 0;
    for _ in 0..cycles {
        let (done, enough) = (Arc::new(AtomicUsize::new(0)), 100 + dice.below(400));
        let mut under_way = tokio::task::JoinSet::new();
        for writer in writers.drain(..) {
            let caller = connect(&place, &server, &writer.principal()).await;
            under_way.spawn(writer.work(caller, Arc::clone(&done)));
        }
        until("they are at it", async || {
            done.load(Ordering::Relaxed) >= enough
        })
        .await;
        server.kill();
        writers = under_way.join_all().await;
        in_flight += writers.iter().filter(|w| w.pending.is_some()).count();
        server = Process::start(&place);
        for writer in &mut writers {
            let caller = connect(&place, &server, &writer.principal()).await;
            writer.check(&caller).await;
        }
    }
    server.stop();
    // One log through all of it: no break in the tree, no call without a reason.
    let out = crate::provable::export_of(&place);
    let mut report = crate::provable::against(&out, Vec::new());
    let mut rows = oubliette::store::sqlite::open_rows(&place.data()).expect("rows");
    report.hold_against_vault(&mut rows).expect("rows");
    assert_eq!(report.findings(), Vec::<String>::new());
    let known = written_down(&place);
    let (mut received, mut acknowledged, mut erased) = (0, 0, 0);
    for writer in &writers {
        let (plaintexts, changes) = known[&writer.principal()];
        assert!(
            plaintexts >= writer.received as u64,
            "{}",
            writer.principal()
        );
        assert!(
            changes >= writer.acknowledged as u64,
            "{}",
            writer.principal()
        );
        received += writer.received;
        acknowledged += writer.acknowledged;
        erased += writer.erased.len();
    }
    println!(
        "{cycles} times kill -9 under {WORKERS} writers: {acknowledged} changes acknowledged, \
         0 lost; {erased} erased, 0 came back; {received} plaintexts received, all written down; \
         {in_flight} calls cut off, each repeated once; {} leaves without a hole, \
         0 chain breaks",
        Log::of(&place).count()
    );
}
