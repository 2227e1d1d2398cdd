//! What customers said, who read their data, what is told of it, and what is
//! kept for a time.

use crate::house::House;
use crate::made::{TENANT, TODAY, claim, first_customer, intent, leaf, put, record, unique, wide};
use crate::on_each;
use oubliette::clock::Day;
use oubliette::id::CustomerNumber;
use oubliette::store::{
    ConsentChange, ConsentOutcome, EraseIntent, EventSwap, LeafRow, LedgerKind, Narrowing,
    ReaderRow, RecordKey, SweepRecord, SweptRecord, Tidings,
};

fn state(house: &House, customer: CustomerNumber) -> (Vec<u8>, Vec<u8>) {
    let row = house.read(move |rows| rows.customer(customer)).unwrap();
    (row.state, row.state_mac)
}

fn said(house: &House, customer: CustomerNumber, event: u32) -> ConsentChange {
    ConsentChange {
        customer,
        was: state(house, customer).0,
        state: format!("state {event}").into_bytes(),
        state_mac: [u8::try_from(event).unwrap(); 32],
        events: vec![(event, format!("event {event}").into_bytes())],
        request: Some(claim()),
        leaf: leaf("said"),
        narrows: false,
        told: Vec::new(),
        ends: Vec::new(),
    }
}

/// A leaf of a first read by a service that is told apart by a number.
fn first_read(house: &House, customer: CustomerNumber, reader: u64) -> LeafRow {
    let reader = ReaderRow {
        customer,
        reader: wide(reader),
        state_mac: state(house, customer).1,
        sealed: b"who".to_vec(),
    };
    LeafRow {
        reader: Some(Box::new(reader)),
        ..leaf("read")
    }
}

fn readers(house: &House, customer: CustomerNumber) -> u64 {
    house.read(move |rows| rows.readers(customer)).len() as u64
}

fn tidings(customer: CustomerNumber, readers: u64, services: &[&str]) -> Tidings {
    Tidings {
        customer,
        tenant: TENANT,
        readers,
        story: unique(),
        is_kept: false,
        raised: TODAY,
        epoch: 1,
        events: services
            .iter()
            .map(|service| ((*service).to_owned(), b"sealed".to_vec()))
            .collect(),
    }
}

#[test]
fn what_is_said_is_stored_whole_and_only_to_the_state_that_it_was_said_to() {
    on_each(|house| {
        let owner = first_customer(house);
        let first = said(house, owner, 1);
        let again = first.clone();
        assert!(matches!(
            house.change_consent(first).wait().unwrap(),
            ConsentOutcome::Done
        ));
        assert!(matches!(
            house.change_consent(again.clone()).wait().unwrap(),
            ConsentOutcome::Repeated(row) if row.outcome == 1
        ));
        let leaves = house.leaf_count();
        let late = ConsentChange {
            request: Some(claim()),
            events: vec![(2, b"event 2".to_vec())],
            ..again
        };
        assert!(matches!(
            house.change_consent(late).wait().unwrap(),
            ConsentOutcome::Lost
        ));
        assert_eq!(house.leaf_count(), leaves, "nothing is stored");
        let second = said(house, owner, 2);
        house.change_consent(second).wait().unwrap();
        let events = house.read(move |rows| rows.consent_events(owner, 0, 10));
        assert_eq!(events, [(1, b"event 1".to_vec()), (2, b"event 2".to_vec())]);
        let nobody = ConsentChange {
            customer: CustomerNumber(999),
            request: None,
            ..said(house, owner, 3)
        };
        assert!(matches!(
            house.change_consent(nobody).wait().unwrap(),
            ConsentOutcome::Gone
        ));
    });
}

#[test]
fn a_no_stays_in_the_ledger_until_it_is_known_to_be_carried_out() {
    on_each(|house| {
        let owner = first_customer(house);
        for (kind, purpose) in [
            (LedgerKind::Withdrawal, 7),
            (LedgerKind::Objection, 65_535),
            (LedgerKind::BasisEnded, 1),
        ] {
            let no = Narrowing {
                entry: 0,
                kind,
                customer: owner,
                about: purpose,
                revision: 5,
            };
            house.note_narrowings(vec![no], TODAY).wait().unwrap();
        }
        house.reopen();
        let noes = house.read(|rows| rows.narrowings(0, 10));
        let told: Vec<_> = noes.iter().map(|no| (no.kind, no.about)).collect();
        assert_eq!(
            told,
            [
                (LedgerKind::Withdrawal, 7),
                (LedgerKind::Objection, 65_535),
                (LedgerKind::BasisEnded, 1)
            ]
        );
        assert!(
            noes.iter()
                .all(|no| no.customer == owner && no.revision == 5)
        );
        let last = noes[2].entry;
        house.ledger_is_done(last).wait().unwrap();
        house.ledger_is_done(last - 1).wait().unwrap();
        assert_eq!(house.read(|rows| rows.ledger_done()), last, "never back");
    });
}

#[test]
fn a_reader_is_noted_once_and_not_past_a_change_or_an_erasure() {
    on_each(|house| {
        let owner = first_customer(house);
        let early = first_read(house, owner, 1);
        for _ in 0..2 {
            assert!(house.append(vec![early.clone()]).wait().unwrap() > 0);
        }
        assert_eq!(readers(house, owner), 1);
        let late = first_read(house, owner, 2);
        let change = said(house, owner, 1);
        house.change_consent(change).wait().unwrap();
        let leaves = house.leaf_count();
        assert_eq!(house.append(vec![leaf("x"), late]).wait().unwrap(), 0);
        assert_eq!(house.leaf_count(), leaves, "not one of them is written");
        let last = first_read(house, owner, 3);
        let row = house.read(move |rows| rows.customer(owner));
        let intent = EraseIntent {
            state: row.expect("a customer").state,
            ..intent(owner)
        };
        assert!(house.intend_erasure(intent).wait().unwrap());
        assert_eq!(house.append(vec![last]).wait().unwrap(), 0);
        assert_eq!(readers(house, owner), 1);
    });
}

#[test]
fn events_are_told_with_their_change_until_they_are_acknowledged() {
    on_each(|house| {
        let owner = first_customer(house);
        house
            .append(vec![first_read(house, owner, 1)])
            .wait()
            .unwrap();
        assert!(!house.tell(tidings(owner, 0, &["t/a"])).wait().unwrap());
        let unheard = |change: ConsentChange| {
            assert!(matches!(
                house.change_consent(change).wait().unwrap(),
                ConsentOutcome::Lost
            ));
        };
        unheard(ConsentChange {
            told: vec![tidings(owner, 2, &["t/a"])],
            ..said(house, owner, 1)
        });
        let told = tidings(owner, 1, &["t/a", "t/b"]);
        let story = told.story;
        let change = ConsentChange {
            told: vec![told],
            ..said(house, owner, 1)
        };
        house.change_consent(change).wait().unwrap();
        let mine = house.read(|rows| rows.events_for("t/a", 0, 10));
        assert_eq!(mine.len(), 1, "one, and of the change that stands");
        let number = mine[0].event;
        let acknowledge = |who: &str| {
            let (who, leaf) = (who.to_owned(), leaf("ack"));
            let done = house.acknowledge_events(who, vec![number], TODAY, leaf);
            done.wait().unwrap()
        };
        assert_eq!(acknowledge("t/b"), 0, "not its own");
        assert_eq!((acknowledge("t/a"), acknowledge("t/a")), (1, 0));
        assert!(house.read(|rows| rows.events_for("t/a", 0, 10)).is_empty());
        let left = house.read(|rows| rows.unacknowledged(TENANT, "", 0, 10));
        assert_eq!(left.len(), 1);
        let story = house.read(move |rows| rows.story(story));
        assert_eq!(story.len(), 2);
        assert!(story[0].sealed.is_empty(), "what was said is deleted");
        let swap = |old: &[u8]| EventSwap {
            event: left[0].event,
            old: old.to_vec(),
            epoch: 2,
            new: b"anew".to_vec(),
        };
        house.reseal_events(vec![swap(b"other")]).wait().unwrap();
        assert_eq!(house.read(|rows| rows.events_up_to(1, 10)).len(), 1);
        house.reseal_events(vec![swap(b"sealed")]).wait().unwrap();
        assert!(house.read(|rows| rows.events_up_to(1, 10)).is_empty());
        let newest = house.read(|rows| rows.newest_event());
        assert_eq!(house.forget_events(TODAY).wait().unwrap(), 0);
        house.forget_events(Day(TODAY.0 + 1)).wait().unwrap();
        assert!(
            house
                .read(|rows| rows.unacknowledged(TENANT, "", 0, 9))
                .is_empty()
        );
        assert!(house.tell(tidings(owner, 1, &["t/a"])).wait().unwrap());
        let next = house.read(|rows| rows.events_for("t/a", 0, 10))[0].event;
        assert_eq!(next, newest + 1, "no number is given twice");
    });
}

#[test]
fn what_has_come_due_is_found_by_its_day_and_goes_with_its_record() {
    on_each(|house| {
        let owner = first_customer(house);
        for number in 1..=3 {
            record(&**house, owner, number);
        }
        let key = move |number| RecordKey::new(owner, number);
        let due = |first: i32, last: i32| {
            let days = (Day(first), Day(last));
            let found =
                house.read(move |rows| rows.written_between(crate::made::TYPE, days, None, 9));
            found.into_iter().map(|(_, key)| key).collect::<Vec<_>>()
        };
        assert_eq!(due(TODAY.0, TODAY.0), [key(1), key(2), key(3)]);
        assert!(due(i32::MIN, TODAY.0 - 1).is_empty());
        let days = (TODAY, TODAY);
        let after = Some((TODAY, key(1)));
        let next = house.read(move |rows| rows.written_between(crate::made::TYPE, days, after, 1));
        assert_eq!(next, [(TODAY, key(2))], "page by page");
        let rewritten = put(owner, 3, 1);
        house.put_record(rewritten).wait().unwrap();
        assert_eq!(due(TODAY.0, TODAY.0).len(), 3, "a day counts once");
        assert_eq!(
            house.read(move |rows| rows.origin(key(1))),
            Some(b"origin".to_vec())
        );

        house.defer_sweep(key(2), true).wait().unwrap();
        assert_eq!(house.read(|rows| rows.deferred(None, 9)), [key(2)]);
        let sweep = |number, replaces, left| SweepRecord {
            key: key(number),
            replaces,
            left,
            told: None,
            leaf: leaf("swept"),
        };
        assert!(!house.sweep_record(sweep(1, 9, None)).wait().unwrap());
        assert!(house.sweep_record(sweep(1, 1, None)).wait().unwrap());
        assert_eq!(due(TODAY.0, TODAY.0), [key(2), key(3)]);
        assert!(house.read(move |rows| rows.origin(key(1))).is_none());
        let left = SweptRecord {
            generation: 1,
            manifest: [7; 32],
            body: b"less".to_vec(),
            origin: b"less".to_vec(),
        };
        assert!(house.sweep_record(sweep(2, 1, Some(left))).wait().unwrap());
        let row = house.read(move |rows| rows.record_at(key(2))).unwrap();
        assert_eq!((row.revision, row.body), (2, b"less".to_vec()));
        assert_eq!(row.updated, TODAY, "a sweep is no activity");
        assert!(house.read(|rows| rows.deferred(None, 9)).is_empty());

        for day in [5, 3] {
            house.swept_up_to(1, 1, Day(day)).wait().unwrap();
        }
        let up_to = house.read(|rows| rows.field_swept_up_to(1, 1));
        assert_eq!(up_to, Some(Day(5)), "never back");
        let change = ConsentChange {
            ends: vec![Day(TODAY.0 + 1)],
            ..said(house, owner, 1)
        };
        house.change_consent(change).wait().unwrap();
        let ended = |day: i32| house.read(move |rows| rows.consent_ended(Day(day), 9));
        assert!(ended(TODAY.0).is_empty());
        assert_eq!(ended(TODAY.0 + 1), [owner]);
        house
            .swept_customer(owner, Day(TODAY.0 + 1))
            .wait()
            .unwrap();
        assert!(ended(TODAY.0 + 1).is_empty());
    });
}
