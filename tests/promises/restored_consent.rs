//! Consent across restores: who said no since the backup stays silent, and
//! where that cannot be proven nobody's yes of before is relied on.

use crate::caller::connect;
use crate::consent::{OFFERS, with_card, yes};
use crate::process::Process;
use crate::restore::House;
use std::fs;

const AGREED: usize = 110;
const WITHDREW: usize = 100;

fn id(number: usize) -> String {
    format!("c{number:03}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_who_withdrew_since_the_backup_stay_silent() {
    let house = House::new(true);
    let mut server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    for number in 0..AGREED {
        with_card(&w, &id(number)).await;
        w.answer(yes(&id(number))).await.expect("on record");
    }
    let file = house.at("before.db");
    let file = file.to_str().expect("UTF-8");
    house.done(&["backup", "data", file]);
    for number in 0..WITHDREW {
        w.withdraw(&id(number), OFFERS).await.expect("taken back");
    }
    server.kill();
    let report = house.done(&["restore", "data", file]);
    assert_eq!(report["ledger_complete"], true);
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    for number in 0..AGREED {
        let read = w.read_for(&id(number), OFFERS).await;
        if number < WITHDREW {
            let refused = read.expect_err("silent");
            assert_eq!(refused.reason, "CONSENT_WITHDRAWN", "{number}");
        } else {
            read.expect("whoever said nothing since is read");
        }
    }
    w.answer(yes(&id(0))).await.expect("on record");
    let read = w.read_for(&id(0), OFFERS).await;
    read.expect("only the customer brings it back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_proven_ledger_every_yes_of_before_reads_as_unknown() {
    let house = House::new(false);
    let mut server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    for number in 0..4 {
        with_card(&w, &id(number)).await;
        w.answer(yes(&id(number))).await.expect("on record");
    }
    house.done(&["backup", "keys"]);
    w.withdraw(&id(0), OFFERS).await.expect("taken back");
    server.kill();
    for file in ["keys.db", "keys.db-wal", "keys.db-shm"] {
        let _ = fs::remove_file(house.place.data().join(file));
    }
    fs::remove_file(house.ledger()).expect("the ledger is lost too");
    let from = house.at("keys").display().to_string();
    let identity = house.identity().display().to_string();
    let report = house.done(&[
        "restore",
        "keys",
        &from,
        "--identity",
        &identity,
        "--unproven",
        "flood",
        "--approved-by",
        "acme/a",
        "--approved-by",
        "acme/b",
    ]);
    assert_eq!(report["ledger_complete"], false);
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    for number in 0..4 {
        let read = w.read_for(&id(number), OFFERS).await;
        let refused = read.expect_err("unknown means no");
        let unknown = ["CONSENT_UNPROVEN", "CONSENT_WITHDRAWN"];
        assert!(unknown.contains(&&*refused.reason), "{}", refused.reason);
        let care = w.read_for(&id(number), "care").await;
        care.expect("a contract is no consent");
    }
    w.answer(yes(&id(1))).await.expect("on record");
    w.read_for(&id(1), OFFERS).await.expect("said anew");
}
