//! `oubliette attack` on real bytes: it is as strong as it should be.

use crate::caller::connect;
use crate::process::Process;
use crate::restore::{House, create, erase, purged};
use serde_json::Value as Json;
use std::fs;

const ALL: usize = 12;
const ERASED: usize = 3;

pub fn attack(house: &House, dirs: &[&str], with_identity: bool) -> Json {
    let (now, identity) = (house.place.path(), house.identity());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_oubliette"));
    command
        .args(["attack", "--json", "--backups"])
        .args(dirs)
        .arg("--keys")
        .arg(now)
        .envs(house.more());
    if with_identity {
        command.arg("--identity").arg(identity);
    }
    let output = command.output().expect("oubliette runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attack_opens_who_is_erased_until_their_epoch_is_closed() {
    let house = House::new(true);
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    create(&w, 0..ALL).await;
    house.done(&["backup", "keys"]);
    let data = house.at("data.db");
    house.done(&["backup", "data", data.to_str().expect("UTF-8")]);
    erase(&w, 0..ERASED).await;
    purged(&w, 0..ERASED).await;
    let (keys, all) = (
        house.at("keys"),
        house.elsewhere.path().display().to_string(),
    );

    let found = attack(&house, &[&all], true);
    assert_eq!(found["customers_opened"], ALL, "{found}");
    assert_eq!(found["erased_opened"], ERASED, "{found}");
    assert_eq!(found["records_opened"], 2 * (ALL + ALL - ERASED), "{found}");
    for erased in found["erased_customers"].as_array().expect("a list") {
        for what in ["keys", "id", "index_row"] {
            assert_eq!(erased[what], true, "{erased}");
        }
        assert_eq!(erased["records"], 2);
    }
    // Not a value, not an id: only counts and numbers.
    let said = found.to_string();
    assert!(
        !said.contains("somebody-") && !said.contains("card of"),
        "{said}"
    );

    // The close takes a key backup of its own, under the new epoch.
    w.close_to_the_end().await;
    let found = attack(&house, &[&all], true);
    assert_eq!(found["erased"], ERASED, "{found}");
    assert_eq!(found["erased_opened"], 0, "nothing in any copy: {found}");
    assert_eq!(
        found["customers_opened"],
        ALL - ERASED,
        "everybody else opens: {found}"
    );
    let packs = fs::read_dir(&keys).expect("a directory").flatten();
    let manifests = packs.filter(|file| file.path().extension().is_some_and(|e| e == "manifest"));
    assert_eq!(manifests.count(), 2);

    // And without the provider's keys nothing opens, whatever there is.
    let provider = house.place.path().join("keys/epoch-00000002.key");
    fs::rename(&provider, house.at("moved.key")).expect("moved");
    let found = attack(&house, &[&all], true);
    assert_eq!(found["customers_opened"], 0, "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_identity_an_index_row_still_tells_until_the_close() {
    let house = House::new(true);
    let server = Process::start(&house.place);
    let w = connect(&house.place, &server, "acme/w00").await;
    create(&w, 0..ALL).await;
    house.done(&["backup", "keys"]);
    erase(&w, 0..ERASED).await;
    purged(&w, 0..ERASED).await;
    let all = house.elsewhere.path().display().to_string();
    // Without the identity the key backups stay shut; an index row still says
    // that there was somebody.
    let found = attack(&house, &[&all], false);
    assert_eq!(found["erased_opened"], ERASED);
    let of = |what: &str| found["erased_customers"][0][what].clone();
    assert_eq!((of("keys"), of("index_row")), (false.into(), true.into()));
    assert_eq!(found["did_not_open"].as_array().map(Vec::len), Some(1));
    w.close_to_the_end().await;
    assert_eq!(attack(&house, &[&all], false)["erased_opened"], 0);
}
