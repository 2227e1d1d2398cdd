//! The store against a map: after any writes both say the same.

use crate::house::House;
use crate::made::{TYPE, delete, first_customer, put, wide};
use crate::on_each;
use oubliette::id::CustomerNumber;
use oubliette::store::{PutOutcome, RecordKey};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The ids that a caller gives; few, so that writes meet.
const IDS: u64 = 5;

#[derive(Clone, Debug)]
enum Step {
    Put {
        id: u64,
        body: Vec<u8>,
    },
    /// At the current revision, or so many off it.
    Update {
        id: u64,
        body: Vec<u8>,
        off: u64,
    },
    Delete {
        id: u64,
        off: u64,
    },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let body = || proptest::collection::vec(any::<u8>(), 0..40);
    let off = || prop_oneof![4 => Just(0_u64), 1 => 1..3_u64];
    let step = prop_oneof![
        6 => (0..IDS, body()).prop_map(|(id, body)| Step::Put { id, body }),
        6 => (0..IDS, body(), off()).prop_map(|(id, body, off)| Step::Update { id, body, off }),
        3 => (0..IDS, off()).prop_map(|(id, off)| Step::Delete { id, off }),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A customer's records as they must be.
struct Model {
    /// By id: number, revision, body.
    records: BTreeMap<u64, (u64, u64, Vec<u8>)>,
    next: u64,
    leaves: u64,
}

impl Model {
    /// Takes the step in the store and here; both must come to the same.
    fn take(&mut self, house: &mut House, owner: CustomerNumber, step: Step) {
        let (outcome, allowed) = match step {
            Step::Reopen => return house.reopen(),
            Step::Put { id, body } => {
                let mut write = put(owner, self.next, 0);
                write.locator = wide(id);
                write.body.clone_from(&body);
                let is_free = !self.records.contains_key(&id);
                if is_free {
                    self.records.insert(id, (self.next, 1, body));
                    self.next += 1;
                }
                (house.put_record(write).wait().unwrap(), is_free)
            }
            Step::Update { id, body, off } => {
                let (number, revision) = self.at(id);
                let mut write = put(owner, number, revision + off);
                write.locator = wide(id);
                write.body.clone_from(&body);
                let found = self.records.get_mut(&id).filter(|_| off == 0);
                let is_current = found.is_some();
                if let Some(record) = found {
                    *record = (number, revision + 1, body);
                }
                (house.put_record(write).wait().unwrap(), is_current)
            }
            Step::Delete { id, off } => {
                let (number, revision) = self.at(id);
                let gone = off == 0 && self.records.remove(&id).is_some();
                let delete = delete(owner, number, revision + off);
                (house.delete_record(delete).wait().unwrap(), gone)
            }
        };
        self.leaves += u64::from(allowed);
        match outcome {
            PutOutcome::Done(..) => assert!(allowed),
            PutOutcome::Lost => assert!(!allowed),
            PutOutcome::Gone | PutOutcome::Repeated(_) => panic!("neither can be"),
        }
    }

    /// Number and revision of an id's record; of one that never was otherwise.
    fn at(&self, id: u64) -> (u64, u64) {
        self.records
            .get(&id)
            .map_or((self.next + 50, 1), |(number, revision, _)| {
                (*number, *revision)
            })
    }

    fn agrees_with(&self, house: &House, owner: CustomerNumber) {
        let row = house.read(move |rows| rows.customer(owner)).unwrap();
        assert_eq!(row.records, u64::try_from(self.records.len()).unwrap());
        assert_eq!(row.next_record, self.next);
        for id in 0..IDS {
            let found = house.read(move |rows| rows.record(owner, &wide(id))).1;
            let found = found.map(|row| (row.key, row.revision, row.body));
            let expected = self.records.get(&id).cloned();
            let expected = expected
                .map(|(number, revision, body)| (RecordKey::new(owner, number), revision, body));
            assert_eq!(found, expected);
        }
        let listed = house.read(move |rows| rows.records_of_customer(owner, TYPE, 0, 99));
        let listed: Vec<_> = listed.iter().map(|row| row.key.record.0).collect();
        let mut expected: Vec<_> = self.records.values().map(|(number, ..)| *number).collect();
        expected.sort_unstable();
        assert_eq!(listed, expected);
        assert_eq!(house.leaf_count(), self.leaves);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_writes_come_to_what_a_map_comes_to(steps in steps()) {
        on_each(|house| {
            let owner = first_customer(house);
            let mut model = Model { records: BTreeMap::new(), next: 1, leaves: 1 };
            for step in steps.clone() {
                model.take(house, owner, step);
            }
            model.agrees_with(house, owner);
        });
    }
}
