//! What the gate costs a read: the MAC on a customer's state, the state taken
//! apart, the basis found and judged. At most 3 µs with 128 purposes.
//!
//! `cargo bench --bench gate`

#![allow(clippy::unwrap_used, missing_docs)]

use divan::{Bencher, black_box};
use oubliette::access::{Facts, Moment, Standing, State, Status, denied_by};
use oubliette::catalog::Catalog;
use oubliette::clock::Day;
use oubliette::crypto::IdentityKey;
use oubliette::id::CustomerNumber;
use std::fs;

fn main() {
    divan::main();
}

/// A catalog with so many purposes that need consent.
fn catalog(purposes: u16) -> Catalog {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    file("catalog.toml", "version = 1\ntitle = \"Bench\"\n");
    let person = "number = 1\nversion = 1\ntitle = \"P\"\n[fields.name]\nnumber = 1\n\
                  kind = \"string\"\nclassification = \"user.name\"\nmax_bytes = 10\n";
    file("types/person.toml", person);
    for number in 1..=purposes {
        let text = format!(
            "number = {number}\ntitle = \"P\"\nbasis = \"consent\"\nmechanism = \"opt_in\"\n\
             callers = []\n[grants.person]\nname = \"raw\"\n"
        );
        file(&format!("purposes/p{number}.toml"), &text);
    }
    Catalog::load(dir.path()).unwrap()
}

#[divan::bench(args = [1, 8, 32, 128])]
fn gate(bencher: Bencher<'_, '_>, purposes: u16) {
    let catalog = catalog(purposes);
    let keys = IdentityKey::generate().unwrap().subkeys();
    let customer = CustomerNumber(7);
    let mut state = State::active();
    for number in 1..=purposes {
        let given = Standing {
            status: Status::Given,
            expires: Some(Day(30_000)),
            ..Standing::unknown(number, false)
        };
        state.set(given).unwrap();
    }
    let (stored, mac) = (state.encode(), state.mac(&keys.state, customer));
    let purpose = catalog.purpose_by_number(purposes).unwrap();
    let moment = Moment {
        today: Day(20_000),
        lineage: 0,
    };
    bencher.bench_local(|| {
        let facts = Facts::verify(black_box(&stored), &mac, &keys.state, customer).unwrap();
        let denied = denied_by(purpose, facts.state(), moment);
        assert!(black_box(denied).is_empty());
    });
}
