//! A customer of whom something is held: the rest is erased at once, for good once
//! the epoch is closed, and what is held when it is released. Whatever comes in
//! between ends in one clear state.

use crate::attack::attack;
use crate::caller::{Caller, connect, customer, heard, put_request, record, text};
use crate::certificate::held;
use crate::faulty::{Act, Director, Step, open};
use crate::log::{Fact, Log};
use crate::place::{Place, Server, is_long, until};
use crate::process::Process;
use crate::restore::House;
use crate::restraint::{at, why};
use crate::tampered::Dice;
use oubliette::crypto::RecordBody;
use oubliette::error::{Error, Unavailable};
use oubliette::pb;
use oubliette::pb::value::Kind;
use oubliette::vault::certificate::document::{Certificate, Reached};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn value(kind: Kind) -> pb::Value {
    pb::Value { kind: Some(kind) }
}

/// Nine fields on a card.
fn card() -> HashMap<String, pb::Value> {
    let born = pb::Date {
        year: 1990,
        month: 2,
        day: 3,
    };
    let seen = at(0).expect("now");
    let fields = [
        ("name", text("N")),
        ("email", text("n@example.org")),
        ("born", value(Kind::DateValue(born))),
        ("visits", value(Kind::Int64Value(7))),
        ("score", value(Kind::DoubleValue(0.5))),
        ("vip", value(Kind::BoolValue(true))),
        ("seen", value(Kind::TimestampValue(seen))),
        ("extra", value(Kind::JsonValue("{}".to_owned()))),
        ("photo", value(Kind::BytesValue(vec![1, 2, 3]))),
    ];
    let fields = fields.into_iter();
    fields.map(|(name, of)| (name.to_owned(), of)).collect()
}

/// A customer of ten fields: nine on a card, one on a memo.
pub async fn ten(w: &Caller, id: &str) {
    w.create(id).await.expect("created");
    w.put(&record(id, "a"), card()).await.expect("written");
    let memo = pb::PutRecordRequest {
        record_type: "memo".to_owned(),
        ..put_request(
            &record(id, "m"),
            HashMap::from([("text".to_owned(), text("M"))]),
        )
    };
    w.put_as(memo).await.expect("written");
}

pub fn told(place: &Place, reply: &pb::EraseCustomerResponse) -> Certificate {
    let certificate = reply.certificate.as_ref().expect("a certificate");
    held(place, certificate).certificate
}

/// What is erased and what is held, by a certificate.
pub fn sides(told: &Certificate) -> (Vec<String>, Vec<String>) {
    let went = told.parts.iter().flat_map(|part| part.what.clone());
    let kept = told.exceptions.iter().map(|one| one.what.clone());
    (went.collect(), kept.collect())
}

pub const NINE: [&str; 9] = [
    "card.born",
    "card.email",
    "card.extra",
    "card.photo",
    "card.score",
    "card.seen",
    "card.vip",
    "card.visits",
    "memo",
];

/// The numbers of the fields that are stored of a customer, by record type.
fn stored(place: &Place, customer: i64) -> Vec<(u16, u16)> {
    let db = place.vault();
    let sql = "SELECT type, body FROM records WHERE place >> 24 = ?1 ORDER BY place";
    let mut statement = db.prepare(sql).expect("a statement");
    let rows = statement.query_map([customer], |row| {
        Ok((row.get::<_, u16>(0)?, row.get::<_, Vec<u8>>(1)?))
    });
    let mut found = Vec::new();
    for row in rows.expect("rows") {
        let (of, body) = row.expect("a row");
        let body = RecordBody::parse(&body).expect("a body");
        for group in body.groups() {
            found.extend(group.fields.iter().map(|field| (of, field.number.0)));
        }
    }
    found.sort_unstable();
    found
}

fn count(place: &Place, of_keys: bool, sql: &str) -> i64 {
    let db = if of_keys { place.keys() } else { place.vault() };
    db.query_row(sql, [], |row| row.get(0)).expect("a count")
}

/// What the attack opened of the one customer who is erased in part: fields that
/// are held, and fields that are erased.
fn opened(house: &House, dirs: &[&str], with_identity: bool) -> (u64, u64) {
    let found = attack(house, dirs, with_identity);
    let of = &found["erased_in_part"];
    assert_eq!(of.as_array().map(Vec::len), Some(1), "{found}");
    let number = |what: &str| of[0][what].as_u64().expect("a number");
    (number("fields"), number("erased_fields"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_field_held_and_nine_erased_the_attack_opens_the_held_one_only() {
    let house = House::new(true);
    let place = &house.place;
    let server = Process::start(place);
    let w = connect(place, &server, "acme/w00").await;
    for id in ["a", "b"] {
        ten(&w, id).await;
    }
    house.done(&["backup", "keys"]);
    let data = house.at("data.db");
    let data = data.to_str().expect("UTF-8");
    house.done(&["backup", "data", data]);
    w.hold("a", "card", "name").await.expect("held");
    let late = house.at("late.db");
    let late = late.to_str().expect("UTF-8");
    house.done(&["backup", "data", late]);
    let reply = w.erase("a").await.expect("erased in part");
    assert!(reply.in_part && reply.epoch == 1);
    let first = reply.certificate.clone().expect("a certificate");
    let certified = told(place, &reply);
    assert_eq!(certified.level, Reached::Restricted);
    let (went, kept) = sides(&certified);
    assert_eq!(went, NINE);
    assert_eq!(kept, ["card.name"]);
    assert_eq!(certified.parts[0].level, Reached::Purged);

    // Before the close: from every backup of the data, with the keys as they are
    // by now, the held one and nothing else.
    assert_eq!(opened(&house, &[data, late], true), (1, 0));
    // Whoever has a backup of the keys too opens what was there, until the epoch
    // is closed: so it is with every erasure, and why there is a last level.
    let all = house.elsewhere.path().display().to_string();
    let (held_ones, erased_ones) = opened(&house, &[&all], true);
    assert_eq!(held_ones, 1);
    // Ten from each of two backups, of the generation that is destroyed.
    assert_eq!(erased_ones, 20, "the attack has teeth");

    w.close_to_the_end().await;
    // After it: from everything that there ever was, the held one.
    assert_eq!(opened(&house, &[&all], true), (1, 0));
    let found = attack(&house, &[&all], true);
    assert_eq!(
        found["customers_opened"], 2,
        "nobody else is touched: {found}"
    );
    let mut now = None;
    until("the log proves it", async || {
        let found = w.certificate(&first.name, &customer("a")).await;
        let told = held(place, &found.expect("found")).certificate;
        assert_eq!(told.level, Reached::Restricted);
        now = Some(told);
        now.iter()
            .all(|told| told.parts[0].level == Reached::Closed)
    })
    .await;
    let now = now.expect("a certificate");
    assert!(now.parts[0].epoch.destroyed && now.parts[0].log.is_some());

    // Released, the rest goes too: under the same name, whole.
    let hold = w.held("a").await.pop().expect("a hold");
    assert!(w.release(&hold).await.expect("released"), "and erased");
    let gone = w.erase("a").await.expect("again");
    assert_eq!(gone.certificate.as_ref().expect("one").name, first.name);
    assert!(!gone.in_part);
    let last = told(place, &gone);
    assert!(last.level >= Reached::Shredded && last.exceptions.is_empty());
    assert_eq!(last.parts, now.parts, "what was said stays said");
    until("it is purged", async || {
        let shown = w.show("a").await.expect("shown");
        shown.erasure_level() == pb::ErasureLevel::Purged
    })
    .await;
    w.close_to_the_end().await;
    let found = attack(&house, &[&all], true);
    assert_eq!(found["erased_opened"], 0, "{found}");
    until("the log proves it", async || {
        let end = w.certificate(&first.name, &customer("a")).await;
        let end = held(place, &end.expect("found")).certificate;
        assert_eq!((end.parts.len(), &end.parts), (1, &now.parts));
        end.level == Reached::Closed
    })
    .await;
    // In words, for people.
    let file = house.at("certificate.json");
    std::fs::write(&file, &first.document).expect("written");
    let key = crate::certificate::public_key(place).to_string();
    let verified = std::process::Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args(["certificate", "verify", "--key", &key])
        .arg(&file)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    for line in [
        "The certificate holds",
        "L0: what is held is kept and not used",
        "card.email, ",
        "kept by law: card.name (eu-gdpr:A17-3-e, for the court of Bonn)",
    ] {
        assert!(said.contains(line), "{line} is missing in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_held_is_gone_and_what_is_held_is_kept_and_not_used() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["a", "b"] {
        ten(&w, id).await;
    }
    w.hold("a", "card", "name").await.expect("held");
    let mut log = Log::of(&place);
    log.skip();
    let reply = w.erase("a").await.expect("erased in part");
    let facts: Vec<Fact> = log
        .new_leaves()
        .into_iter()
        .filter_map(|l| l.fact)
        .collect();
    assert!(matches!(&facts[0], Fact::Restraint { cause, .. } if cause == "queued"));
    let part = &told(&place, &reply).parts[0];
    assert!(
        matches!(&facts[1], Fact::ShreddedInPart { keys, epoch: 1, generation: 1 }
        if *keys == part.fingerprint)
    );
    let shown = reply.customer.clone().expect("the customer");
    assert_eq!(shown.state(), pb::CustomerState::Active);
    assert_eq!(shown.erasure_level(), pb::ErasureLevel::Restricted);
    assert!(shown.erased_in_part && shown.held && shown.restricted);
    assert_eq!(shown.record_count, 1);
    assert_eq!(stored(&place, 1), [(1, 1)]);
    let beside = "SELECT (SELECT count(*) FROM origins WHERE place >> 24 = 1)
        + (SELECT count(*) FROM locators WHERE customer = 1)";
    assert_eq!(count(&place, false, beside), 2);
    let keys = "SELECT count(*) FROM customer_keys WHERE customer = 1 AND kind = 2";
    assert_eq!(count(&place, true, keys), 1);
    assert_eq!(why(w.get(&record("a", "a")).await), "RESTRICTED");
    assert_eq!(why(w.put(&record("a", "x"), card()).await), "RESTRICTED");
    assert_eq!(why(w.get(&record("b", "a")).await), "OK");

    // Again: the same certificate, and nothing more is destroyed.
    let again = w.erase("a").await.expect("again");
    let name = |reply: &pb::EraseCustomerResponse| reply.certificate.clone().expect("one").name;
    assert_eq!(name(&again), name(&reply));
    assert!(again.in_part);
    assert_eq!(told(&place, &again).parts.len(), 1);
    let shreds = "SELECT count(*) FROM partial_shreds";
    assert_eq!(count(&place, true, shreds), 1);
    // Lifting restrictions takes it back no more than any erasure.
    assert!(w.lift("a", at(0)).await.expect("looked at").restricted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_that_come_and_go_meanwhile_leave_one_clear_state() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    ten(&w, "a").await;
    let name = w.hold("a", "card", "name").await.expect("held");
    let memo = w.hold("a", "memo", "").await.expect("held");
    let reply = w.erase("a").await.expect("erased in part");
    assert_eq!(stored(&place, 1), [(1, 1), (2, 1)]);
    let (went, kept) = sides(&told(&place, &reply));
    assert_eq!((went.len(), kept.len()), (8, 2));

    // What is erased cannot be held any more; what is left can, once more too.
    for (of, field) in [("card", "email"), ("memo", "health")] {
        let late = w.hold("a", of, field).await;
        let expected = if of == "memo" { "OK" } else { "HOLD_TOO_LATE" };
        assert_eq!(why(late), expected, "{of}.{field}");
    }
    let health = w.held("a").await.pop().expect("a hold");
    assert!(!health.of_the_rest);
    w.release(&health).await.expect("released");

    // One of two is released: what it alone kept goes.
    let request = pb::ReleaseHoldRequest {
        name: memo.name.clone(),
    };
    let released = heard(w.holds.clone().release_hold(request).await).expect("released");
    assert!(released.erased_in_part && !released.erased);
    let made = held(&place, &released.certificate.expect("a certificate"));
    let (went, kept) = sides(&made.certificate);
    assert_eq!((made.certificate.parts.len(), went.len()), (2, 9));
    assert_eq!(kept, ["card.name"]);
    assert_eq!(stored(&place, 1), [(1, 1)]);
    assert_eq!(why(w.release(&memo).await), "HOLD_NOT_FOUND");
    assert_eq!(why(w.hold("a", "memo", "").await), "HOLD_TOO_LATE");

    // All of the customer on top: of what is left.
    let all = w.hold("a", "", "").await.expect("held");
    assert!(all.of_the_rest);
    assert!(!w.release(&name).await.expect("released"), "and not erased");
    assert_eq!(stored(&place, 1), [(1, 1)]);
    let again = w.erase("a").await.expect("as it stands");
    assert!(again.in_part);
    assert_eq!(sides(&told(&place, &again)).1, ["customer"]);
    assert!(w.release(&all).await.expect("released"), "and erased");
    assert_eq!(why(w.get(&record("a", "a")).await), "CUSTOMER_ERASED");
    assert_eq!(why(w.release(&all).await), "HOLD_NOT_FOUND");
    assert_eq!(why(w.hold("a", "card", "name").await), "CUSTOMER_ERASED");
    let gone = w.erase("a").await.expect("again");
    let gone = told(&place, &gone);
    assert_eq!((gone.parts.len(), gone.exceptions.len()), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_races_an_erasure_is_honoured_or_refused() {
    let rounds = if is_long() { 200 } else { 12 };
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let (mut honoured, mut refused) = (0, 0);
    for round in 1..=rounds {
        let id = format!("c{round}");
        ten(&w, &id).await;
        w.hold(&id, "card", "name").await.expect("held");
        let (eraser, who) = (w.clone(), id.clone());
        let erasing = tokio::spawn(async move { eraser.erase(&who).await });
        if round % 3 > 0 {
            // Some calls' time later.
            for _ in 0..round % 7 {
                w.show(&id).await.expect("shown");
            }
        }
        let placed = why(w.hold(&id, "card", "email").await);
        let reply = erasing.await.expect("no panic").expect("erased in part");
        assert!(reply.in_part);
        let left = stored(&place, round);
        match placed.as_str() {
            "OK" => {
                assert_eq!(left, [(1, 1), (1, 2)], "{id}");
                honoured += 1;
            }
            "HOLD_TOO_LATE" => {
                assert_eq!(left, [(1, 1)], "{id}");
                refused += 1;
            }
            other => panic!("{id}: {other}"),
        }
        let again = w.erase(&id).await.expect("again");
        let kept = sides(&told(&place, &again)).1;
        assert_eq!(kept.len(), left.len(), "{id}");
    }
    println!("{rounds} holds beside an erasure: {honoured} honoured, {refused} refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_at_any_step_it_goes_on_by_itself_and_has_its_certificate() {
    let unwritten = || Act::Refuse(Error::Unavailable(Unavailable::OutcomeUnknown));
    for step in [
        Step::Restraint,
        Step::Rotate,
        Step::IntendPartial,
        Step::Reencrypt,
        Step::DestroyGenerations,
        Step::TruncateKeys,
        Step::EndPartial,
        Step::Certificate,
    ] {
        let (place, director) = (Place::quick(), Director::new());
        let server = Server::over(&place, open(&director));
        let w = connect(&place, &server, "acme/w00").await;
        ten(&w, "a").await;
        w.hold("a", "card", "name").await.expect("held");
        director.say(move |at| if at == step { unwritten() } else { Act::Go });
        let cut = w.erase("a").await;
        assert_eq!(cut.is_err(), step != Step::Certificate, "{step:?}");
        drop(w);
        server.stop();
        let server = Server::start(&place);
        let w = connect(&place, &server, "acme/w00").await;
        let shown = w.show("a").await.expect("shown");
        // Noted in the ledger it is decided; before the first call it was finished,
        // by nobody.
        assert!(shown.erased_in_part && shown.restricted, "{step:?}");
        assert_eq!(stored(&place, 1), [(1, 1)], "{step:?}");
        let reply = w.erase("a").await.expect("erased in part");
        let certified = told(&place, &reply);
        let (went, kept) = sides(&certified);
        assert_eq!(
            (&*went, &*kept),
            (&NINE.map(str::to_owned)[..], &["card.name".to_owned()][..])
        );
        assert_eq!(
            count(&place, true, "SELECT count(*) FROM partial_shreds"),
            1,
            "{step:?}"
        );
        let leaves = "SELECT count(*) FROM leaves WHERE leaf LIKE '%shredded_in_part%'";
        assert_eq!(count(&place, false, leaves), 1, "{step:?}");
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_it_is_untouched_or_finished() {
    let many = if is_long() { 200 } else { 12 };
    let place = Place::new();
    let mut server = Process::start(&place);
    let mut w = connect(&place, &server, "acme/w00").await;
    let mut dice = Dice::new(23);
    for number in 1..=many {
        let id = format!("c{number}");
        ten(&w, &id).await;
        w.hold(&id, "card", "name").await.expect("held");
    }
    let (mut next, mut kills) = (1, 0);
    while next <= many {
        let batch = next..=many.min(next + 3);
        next = batch.end() + 1;
        let mut under_way = tokio::task::JoinSet::new();
        let answered = Arc::new(AtomicUsize::new(0));
        let wait = dice.below(batch.clone().count() + 1);
        for number in batch {
            let (w, answered) = (w.clone(), Arc::clone(&answered));
            under_way.spawn(async move {
                let _cut = w.erase(&format!("c{number}")).await;
                answered.fetch_add(1, Ordering::SeqCst);
            });
        }
        until("some are answered", async || {
            answered.load(Ordering::SeqCst) >= wait
        })
        .await;
        server.kill();
        kills += 1;
        under_way.join_all().await;
        server = Process::start(&place);
        w = connect(&place, &server, "acme/w00").await;
    }
    let (mut untouched, mut finished) = (0, 0);
    for number in 1..=many {
        let id = format!("c{number}");
        let shown = w.show(&id).await.expect("shown");
        match shown.erased_in_part {
            true => {
                assert_eq!(stored(&place, i64::from(number)), [(1, 1)], "{id}");
                let reply = w.erase(&id).await.expect("again");
                assert_eq!(sides(&told(&place, &reply)).0, NINE, "{id}");
                finished += 1;
            }
            false => {
                assert!(!shown.restricted, "{id}");
                assert_eq!(stored(&place, i64::from(number)).len(), 10, "{id}");
                untouched += 1;
            }
        }
    }
    println!(
        "{many} erasures in part, {kills} times kill -9: {finished} finished, {untouched} untouched"
    );
    assert!(finished > 0);
}
