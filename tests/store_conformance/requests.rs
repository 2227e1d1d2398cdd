//! Request ids: known today and the day after, then forgotten.

use crate::house::House;
use crate::made::{TODAY, claim, first_customer, put, record};
use crate::on_each;
use oubliette::clock::Day;
use oubliette::store::{PutOutcome, RequestClaim, RequestKey};

fn is_known(house: &House, key: RequestKey, today: i32) -> bool {
    house
        .read(move |rows| rows.request(&key, Day(today)))
        .is_some()
}

#[test]
fn a_request_is_known_that_day_and_the_next() {
    on_each(|house| {
        let owner = first_customer(house);
        let mut first = put(owner, 1, 0);
        first.request = claim();
        let key = first.request.key;
        assert!(matches!(
            house.put_record(first).wait().unwrap(),
            PutOutcome::Done(..)
        ));
        assert!(is_known(house, key, TODAY.0));
        assert!(is_known(house, key, TODAY.0 + 1));
        assert!(!is_known(house, key, TODAY.0 + 2));
        assert!(!is_known(house, key, TODAY.0 - 1));
        // Asked for again the day after: still the same request.
        let again = |today: i32| {
            let mut again = put(owner, 1, 1);
            again.request = RequestClaim {
                key,
                today: Day(today),
                ..claim()
            };
            house.put_record(again).wait().unwrap()
        };
        assert!(matches!(again(TODAY.0 + 1), PutOutcome::Repeated(_)));
        // Two days later the id stands for a request of that day.
        assert!(matches!(again(TODAY.0 + 2), PutOutcome::Done(..)));
        assert!(matches!(again(TODAY.0 + 3), PutOutcome::Repeated(_)));
    });
}

#[test]
fn one_id_of_two_principals_is_two_requests() {
    on_each(|house| {
        let owner = first_customer(house);
        let (mut one, mut other) = (put(owner, 1, 0), put(owner, 2, 0));
        other.request.key = RequestKey {
            scope: 17,
            ..one.request.key
        };
        one.request.digest = [1; 32];
        other.request.digest = [2; 32];
        let keys = [one.request.key, other.request.key];
        for put in [one, other] {
            assert!(matches!(
                house.put_record(put).wait().unwrap(),
                PutOutcome::Done(..)
            ));
        }
        let digests = keys.map(|key| {
            let known = house.read(move |rows| rows.request(&key, TODAY));
            known.unwrap().digest
        });
        assert_eq!(digests, [[1; 32], [2; 32]]);
        let neighbour = RequestKey {
            scope: 18,
            ..keys[0]
        };
        assert!(!is_known(house, neighbour, TODAY.0));
    });
}

#[test]
fn requests_are_forgotten_by_day_and_no_younger_one_with_them() {
    on_each(|house| {
        let owner = first_customer(house);
        let mut made = Vec::new();
        for number in 1..=6 {
            let mut put = put(owner, number, 0);
            put.request.today = Day(TODAY.0 + i32::try_from(number).unwrap());
            made.push((put.request.key, put.request.today.0));
            assert!(matches!(
                house.put_record(put).wait().unwrap(),
                PutOutcome::Done(..)
            ));
        }
        let forget = |before| {
            let mut all = 0;
            loop {
                match house.forget_requests(Day(before)).wait().unwrap() {
                    0 => return all,
                    some => all += some,
                }
            }
        };
        // The creation's request is of TODAY.
        assert_eq!(forget(TODAY.0), 0);
        assert_eq!(forget(TODAY.0 + 4), 1 + 3);
        for (key, day) in &made {
            assert_eq!(is_known(house, *key, *day), *day >= TODAY.0 + 4, "{day}");
        }
        assert_eq!(forget(TODAY.0 + 4), 0);
        assert_eq!(forget(TODAY.0 + 7), 3);
        record(&**house, owner, 7);
    });
}
