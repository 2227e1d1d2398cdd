//! Restraints: on record with the state or not at all, and gone with the
//! customer.

use crate::house::House;
use crate::made::{TENANT, TODAY, claim, first_customer, intent, leaf, sealed, unique};
use crate::on_each;
use oubliette::clock::Day;
use oubliette::id::{CustomerNumber, TenantNumber};
use oubliette::store::{
    ChangeRestraints, ConsentOutcome, LedgerKind, Narrowing, RestraintRow, StateChange,
};

fn change(customer: CustomerNumber, was: &str, state: &str) -> ChangeRestraints {
    ChangeRestraints {
        change: StateChange {
            customer,
            was: was.as_bytes().to_vec(),
            state: state.as_bytes().to_vec(),
            state_mac: [9; 32],
            placed: None,
            lifted: Vec::new(),
        },
        request: None,
        leaf: leaf("restraint"),
    }
}

fn row(customer: CustomerNumber, placed: u64, kind: u8, review: Option<Day>) -> RestraintRow {
    RestraintRow {
        number: unique(),
        tenant: TENANT,
        customer,
        placed,
        kind,
        about: 5,
        review,
        sealed: sealed("restraint", customer),
    }
}

fn placing(was: &str, state: &str, row: RestraintRow) -> ChangeRestraints {
    let mut placing = change(row.customer, was, state);
    placing.change.placed = Some(row);
    placing
}

fn outcome(house: &House, change: ChangeRestraints) -> &'static str {
    match house.change_restraints(change).wait().unwrap() {
        ConsentOutcome::Done => "done",
        ConsentOutcome::Lost => "lost",
        ConsentOutcome::Gone => "gone",
        ConsentOutcome::Repeated(_) => "repeated",
    }
}

#[test]
fn a_restraint_is_placed_and_lifted_with_the_state_that_says_so() {
    on_each(|house| {
        let owner = first_customer(house);
        let first = row(owner, 1, 2, Some(Day(7)));
        let mut asked = placing("active", "held", first.clone());
        asked.request = Some((claim(), first.number));
        assert_eq!(outcome(house, asked.clone()), "done");
        assert_eq!(outcome(house, asked), "repeated");
        let late = placing("active", "other", row(owner, 1, 2, None));
        assert_eq!(outcome(house, late), "lost");
        let second = row(owner, 2, 1, None);
        assert_eq!(
            outcome(house, placing("held", "both", second.clone())),
            "done"
        );
        house.reopen();
        let number = first.number;
        let found = house.read(move |rows| rows.restraint(number));
        assert_eq!(found.as_ref(), Some(&first));
        let all = house.read(move |rows| rows.restraints_of(owner));
        assert_eq!(all, [first.clone(), second]);
        let holds = |after| house.read(move |rows| rows.holds_of_tenant(TENANT, after, 9));
        assert_eq!(holds(None), [first]);
        assert!(holds(Some((Day(7), number))).is_empty());
        let none = house.read(|rows| rows.holds_of_tenant(TenantNumber(9), None, 9));
        assert!(none.is_empty());
        let restricted = |cause, after| {
            house.read(move |rows| rows.restricted_for(cause, CustomerNumber(after), 9))
        };
        assert_eq!(restricted(5, 0), [owner]);
        assert!(restricted(4, 0).is_empty() && restricted(5, owner.0).is_empty());
        let state = house.read(move |rows| rows.customer(owner)).unwrap().state;
        assert_eq!(state, b"both");
        let leaves = house.leaf_count();
        let mut lifting = change(owner, "both", "free");
        lifting.change.lifted = vec![1, 2];
        assert_eq!(outcome(house, lifting), "done");
        assert!(house.read(move |rows| rows.restraints_of(owner)).is_empty());
        assert_eq!(house.leaf_count(), leaves + 1);
    });
}

#[test]
fn the_ledger_notes_what_is_placed_and_what_was_lifted() {
    on_each(|house| {
        let owner = first_customer(house);
        let note = |kind, about, revision| {
            let narrowing = Narrowing {
                entry: 0,
                kind,
                customer: owner,
                about,
                revision,
            };
            house
                .note_narrowings(vec![narrowing], TODAY)
                .wait()
                .unwrap();
        };
        note(LedgerKind::Hold, 3 << 16 | 9, 4);
        note(LedgerKind::Withdrawal, 7, 5);
        note(LedgerKind::Lifted, 0, 4);
        note(LedgerKind::Restriction, 2, 6);
        let told: Vec<_> = house
            .read(|rows| rows.narrowings(0, 9))
            .into_iter()
            .map(|one| (one.kind, one.about, one.revision))
            .collect();
        let expected = [
            (LedgerKind::Hold, 3 << 16 | 9, 4),
            (LedgerKind::Withdrawal, 7, 5),
            (LedgerKind::Restriction, 2, 6),
        ];
        assert_eq!(told, expected, "what was lifted is not carried out");
        for (placed, lifted) in [(4, true), (6, false)] {
            let known = house.read(move |rows| rows.is_lifted(owner, placed));
            assert_eq!(known, lifted);
        }
    });
}

#[test]
fn what_is_about_to_be_erased_is_not_held_any_more_and_what_is_held_is_not_erased() {
    on_each(|house| {
        let owner = first_customer(house);
        assert_eq!(
            outcome(house, placing("active", "held", row(owner, 1, 2, None))),
            "done"
        );
        let stale = house.intend_erasure(intent(owner)).wait().unwrap();
        assert!(!stale, "it was decided on another state");
        let mut decided = intent(owner);
        decided.state = b"held".to_vec();
        assert!(house.intend_erasure(decided).wait().unwrap());
        assert_eq!(
            outcome(house, placing("held", "more", row(owner, 2, 2, None))),
            "gone"
        );
        while !house.purge(owner, None).wait().unwrap() {}
        assert!(house.read(move |rows| rows.restraints_of(owner)).is_empty());
    });
}
