//! What is usual of a principal is learned hour by hour, and what is not is told
//! of, written down, and blocked where that is configured.

use crate::caller::{Answer, Caller, connect, get_request, named, record};
use crate::later::Hands;
use crate::log::{Fact, Leaf, Log};
use crate::place::{Place, until};
use crate::pruned::aging;
use oubliette::limits::SIGNAL_HOURS;
use std::fs;

fn configure(place: &Place, table: &str) {
    let file = place.config_file("oubliette.toml");
    let configured = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, format!("{configured}\n[signals]\n{table}")).expect("written");
}

/// Who, what, how many, and whether it blocks.
type Told = (String, String, u64, bool);

fn told(leaf: Leaf) -> Option<Told> {
    match leaf.fact? {
        Fact::Signal {
            kind,
            count,
            blocks,
        } => Some((leaf.principal, kind, count, blocks)),
        _ => None,
    }
}

/// The next signal that is written down.
async fn next(log: &mut Log) -> Told {
    let mut found = Vec::new();
    until("it is written down", async || {
        found.extend(log.new_leaves().into_iter().filter_map(told));
        !found.is_empty()
    })
    .await;
    found.remove(0)
}

async fn filled(caller: &Caller, customers: usize) {
    for number in 0..customers {
        let id = format!("c{number}");
        caller.create(&id).await.expect("created");
        caller
            .put(&record(&id, "r"), named("A"))
            .await
            .expect("written");
    }
}

/// Reads fields of a customer's card.
async fn read(caller: &Caller, id: &str, fields: &[&str]) -> Answer<()> {
    let mut request = get_request(&record(id, "r"));
    request.fields = fields.iter().map(|field| (*field).to_owned()).collect();
    caller.get_as(request).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_more_customers_than_usual_and_denials_are_told_of_once_what_is_usual_is_known() {
    let place = aging(Place::quick());
    configure(
        &place,
        "customers_times = 2\ncustomers_least = 3\ndenials_a_minute = 5\nblock = [\"many_customers\"]\n",
    );
    let mut hands = Hands::of(&place);
    let server = hands.server(&place);
    let w = connect(&place, &server, "acme/w00").await;
    filled(&w, 6).await;
    let reader = connect(&place, &server, "acme/w01").await;
    let mut log = Log::of(&place);
    for _ in 0..=SIGNAL_HOURS {
        hands.move_on(1);
        for id in ["c0", "c1"] {
            read(&reader, id, &["name"]).await.expect("read");
        }
    }
    let early: Vec<Told> = log.new_leaves().into_iter().filter_map(told).collect();
    assert_eq!(early, [], "what is usual is not told");

    let who = "acme/w01".to_owned();
    read(&reader, "c0", &["name", "email"]).await.expect("read");
    assert_eq!(
        next(&mut log).await,
        (who.clone(), "new_field".to_owned(), 1, false)
    );
    // Twice the usual two is four.
    for id in ["c2", "c3"] {
        read(&reader, id, &["name"]).await.expect("read");
    }
    let refused = read(&reader, "c4", &["name"])
        .await
        .expect_err("one too many");
    assert!(refused.is("PRINCIPAL_BLOCKED"), "{refused}");
    assert_eq!(
        next(&mut log).await,
        (who, "many_customers".to_owned(), 5, true)
    );
    assert!(read(&reader, "c0", &["name"]).await.is_err(), "blocked");
    w.get(&record("c0", "r")).await.expect("nobody else is");

    let idle = connect(&place, &server, "acme/idle").await;
    let mut found = Vec::new();
    until("denials are told", async || {
        assert!(idle.get(&record("c0", "r")).await.is_err());
        found.extend(log.new_leaves().into_iter().filter_map(told));
        !found.is_empty()
    })
    .await;
    assert_eq!(
        found[0],
        ("acme/idle".to_owned(), "denials".to_owned(), 6, false)
    );
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_opened_in_quiet_hours_is_told_of_and_what_is_opened_before_is_not() {
    let place = aging(Place::quick());
    let mut hands = Hands::of(&place);
    let quiet = (hands.hour() + 1) % 24;
    let table = format!(
        "new_fields = false\nquiet = \"{quiet}-{}\"\n",
        (quiet + 1) % 24
    );
    configure(&place, &table);
    let server = hands.server(&place);
    let w = connect(&place, &server, "acme/w00").await;
    filled(&w, 1).await;
    let mut log = Log::of(&place);
    w.get(&record("c0", "r")).await.expect("read");
    hands.move_on(1);
    w.get(&record("c0", "r")).await.expect("read, and told of");
    let who = "acme/w00".to_owned();
    assert_eq!(
        next(&mut log).await,
        (who, "off_hours".to_owned(), 1, false)
    );
    // Once an hour, and not in the next.
    w.get(&record("c0", "r")).await.expect("read");
    hands.move_on(1);
    w.get(&record("c0", "r")).await.expect("read");
    server.stop();
    let more: Vec<Told> = log.new_leaves().into_iter().filter_map(told).collect();
    assert_eq!(more, []);
}
