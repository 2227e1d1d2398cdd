//! Erasures in part: intended once, done once, each with the state that it was
//! decided on; nothing sealed stays of them once the customer is forgotten.

use crate::house::House;
use crate::made::{TENANT, TODAY, first_customer, intent, leaf, sealed, unique, wide};
use crate::on_each;
use oubliette::id::CustomerNumber;
use oubliette::store::{
    Destroyed, LivingCertificate, PartialEnd, PartialIntent, StateChange, Tidings,
};

fn part(customer: CustomerNumber, state: &str) -> PartialIntent {
    PartialIntent {
        customer,
        generation: 2,
        state: state.as_bytes().to_vec(),
        sealed: sealed("share", customer),
        certificate: LivingCertificate {
            handle: wide(unique()),
            body: sealed("certificate", customer),
            sealed_id: sealed("certificate id", customer),
        },
        told: Tidings {
            customer,
            tenant: TENANT,
            readers: 0,
            story: unique(),
            is_kept: true,
            raised: TODAY,
            epoch: 1,
            events: Vec::new(),
        },
    }
}

fn end(customer: CustomerNumber, was: &str) -> PartialEnd {
    PartialEnd {
        destroyed: Destroyed {
            generation: 1,
            keys: 1,
            compromised: false,
            epoch: 1,
            day: TODAY,
            fingerprint: [7; 32],
        },
        generation: 2,
        change: StateChange {
            customer,
            was: was.as_bytes().to_vec(),
            state: b"said nothing".to_vec(),
            state_mac: [9; 32],
            placed: None,
            lifted: Vec::new(),
        },
        leaf: leaf("in part"),
        today: TODAY,
    }
}

fn intends(house: &House, of: PartialIntent) -> bool {
    house.intend_partial(of).wait().unwrap()
}

fn ends(house: &House, of: PartialEnd) -> bool {
    house.end_partial(of).wait().unwrap()
}

#[test]
fn an_erasure_in_part_is_intended_and_done_once_on_the_state_it_was_decided_on() {
    on_each(|house| {
        let owner = first_customer(house);
        let rows = || house.read(move |rows| rows.partial_erasures(owner));
        assert!(!intends(house, part(owner, "another")));
        assert!(rows().is_empty());
        let mut untold = part(owner, "active");
        untold.told.readers = 1;
        assert!(!intends(house, untold), "a reader would not be told");
        for _ in 0..2 {
            assert!(intends(house, part(owner, "active")));
        }
        let row = rows().pop().unwrap();
        assert_eq!((rows().len(), row.leaf, row.destroyed), (1, 0, None));
        let living = house.read(move |rows| rows.living_certificate(owner));
        assert_eq!(living, Some(sealed("certificate id", owner)));

        assert!(!ends(house, end(owner, "another")));
        let leaves = house.leaf_count();
        for _ in 0..2 {
            assert!(ends(house, end(owner, "active")));
        }
        assert_eq!(house.leaf_count(), leaves + 1);
        let row = rows().pop().unwrap();
        assert_eq!(row.leaf, house.leaf_count());
        assert_eq!(row.destroyed, Some(end(owner, "active").destroyed));
        let state = house.read(move |rows| rows.customer(owner)).unwrap().state;
        assert_eq!(state, b"said nothing");

        // Once all of the customer is forgotten only the numbers stay.
        let mut whole = intent(owner);
        whole.state = state;
        assert!(house.intend_erasure(whole).wait().unwrap());
        assert!(!intends(house, part(owner, "said nothing")), "too late");
        while !house.purge(owner, None).wait().unwrap() {}
        let row = rows().pop().unwrap();
        assert!(row.sealed.is_empty() && row.leaf > 0);
        assert_eq!(house.read(move |rows| rows.living_certificate(owner)), None);
    });
}
