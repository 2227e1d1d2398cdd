//! P9: an erasure is answered with a certificate that a stranger checks with a
//! public key, and that nobody finds without its name once its time is over.

use crate::caller::{Caller, connect, customer, named, record};
use crate::faulty::{Act, Director, Step, open};
use crate::needles::Needles;
use crate::place::{Place, Server, until};
use crate::tampered::Dice;
use oubliette::error::{Error, Unavailable};
use oubliette::keys::signing::{PublicKey, SigningKey};
use oubliette::pb;
use oubliette::vault::certificate::document::{Reached, Signed};
use oubliette::vault::certificate::verify::verify;
use std::collections::BTreeSet;

/// The key that strangers check with.
pub fn public_key(place: &Place) -> PublicKey {
    let name = "oubliette.internal/vault".to_owned();
    let key = SigningKey::load(&place.path().join("keys/vault.key"), name);
    key.expect("a key").public().clone()
}

/// Reads a certificate that must hold.
pub fn held(place: &Place, certificate: &pb::Certificate) -> Signed {
    match verify(certificate.document.as_bytes(), &public_key(place)) {
        Ok(verified) => verified.signed,
        Err(doubt) => panic!("{doubt}"),
    }
}

async fn erased(caller: &Caller, id: &str) -> pb::Certificate {
    let reply = caller.erase(id).await.expect("erased");
    reply.certificate.expect("a certificate")
}

/// The certificate once the rows are gone and the log's proof is in it.
pub async fn settled(place: &Place, caller: &Caller, id: &str) -> pb::Certificate {
    let mut last = None;
    until("it is purged and proven", async || {
        let certificate = erased(caller, id).await;
        let told = held(place, &certificate).certificate;
        last = Some(certificate);
        told.level == Reached::Purged && told.log.is_some()
    })
    .await;
    last.expect("a certificate")
}

async fn purged(caller: &Caller, id: &str) {
    until("it is purged", async || {
        let shown = caller.show(id).await.expect("shown");
        shown.erasure_level() == pb::ErasureLevel::Purged
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_is_answered_with_a_certificate_that_tells_what_was_destroyed() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["somebody-1", "somebody-2"] {
        w.create(id).await.expect("created");
        for card in ["a", "b", "c"] {
            let name = record(id, card);
            w.put(&name, named("N")).await.expect("written");
        }
    }
    let first = erased(&w, "somebody-1").await;
    let signed = held(&place, &first);
    let told = &signed.certificate;
    let opening = signed.opening.as_ref().expect("whom it is about");
    assert_eq!(
        (opening.customer.as_str(), told.tenant.as_str()),
        ("somebody-1", "acme")
    );
    assert_eq!(opening.certificate, first.name);
    let keys: Vec<&str> = told.keys.iter().map(|key| key.key.as_str()).collect();
    assert_eq!(keys, ["identity/1", "field/1/1"]);
    assert_eq!((told.records.there_were, told.epoch.number), (3, 1));
    let fingerprint = "SELECT lower(hex(fingerprint)) FROM fences WHERE customer = 1";
    let fingerprint: String = place
        .keys()
        .query_row(fingerprint, [], |row| row.get(0))
        .expect("a fence");
    assert_eq!(told.fingerprint, fingerprint);

    // The same certificate again, issued anew once the rows are gone.
    let again = settled(&place, &w, "somebody-1").await;
    assert_eq!(again.name, first.name);
    let told = held(&place, &again).certificate;
    assert_eq!(
        (told.level, told.issue > first.issue.cast_unsigned()),
        (Reached::Purged, true)
    );
    assert_eq!((told.records.purged, told.events.len()), (3, 2));
    assert_eq!(erased(&w, "somebody-1").await.document, again.document);

    // By its name alone, also after a restart; by no other tenant.
    server.stop();
    let server = Server::start(&place);
    let (w, other) = (
        connect(&place, &server, "acme/w00").await,
        connect(&place, &server, "globex/w00").await,
    );
    let found = w.certificate(&first.name, "").await.expect("found");
    let nameless = held(&place, &found);
    assert!(nameless.opening.is_none());
    assert_eq!(nameless.certificate, told);
    let found = w.certificate(&first.name, &customer("somebody-1")).await;
    assert_eq!(found.expect("found").document, again.document);
    let wrong = w.certificate(&first.name, &customer("somebody-2")).await;
    assert!(wrong.is_err_and(|f| f.is("INVALID_REQUEST")));
    let foreign = other.certificate(&first.name, "").await;
    assert!(foreign.is_err_and(|f| f.is("CERTIFICATE_NOT_FOUND")));
    let nobody = format!("certificates/{}", "0".repeat(64));
    let missing = w.certificate(&nobody, "").await;
    assert!(missing.is_err_and(|f| f.is("CERTIFICATE_NOT_FOUND")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_vault_keeps_of_a_certificate_says_nothing() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("somebody-1").await.expect("created");
    let certificate = erased(&w, "somebody-1").await;
    let signed = held(&place, &certificate);
    purged(&w, "somebody-1").await;
    drop(w);
    server.stop();
    let mut needles = Needles::default();
    let (_, id) = certificate.name.split_once('/').expect("a name");
    let opening = signed.opening.expect("an opening");
    for (text, what) in [
        (id, "id"),
        (&opening.salt, "salt"),
        (&signed.signature, "signature"),
    ] {
        needles.add(&hex::decode(text).expect("hexadecimal"), what);
        needles.add_text(text);
    }
    needles.add_text("somebody-1");
    needles.add_text(&signed.certificate.subject);
    let (found, _) = needles.in_dir(&place.data());
    assert!(found.is_empty(), "{found:?}");
    // Whom a row is about stands beside nothing that opens it.
    let columns = "SELECT group_concat(name) FROM pragma_table_info('certificates')";
    let columns: String = place
        .vault()
        .query_row(columns, [], |row| row.get(0))
        .expect("columns");
    assert_eq!(columns, "handle,body");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_stands_also_where_its_certificate_cannot_be_made() {
    let (place, director) = (Place::quick(), Director::new());
    let server = Server::over(&place, open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    director.say(|step| match step {
        Step::Certificate => Act::Refuse(Error::Unavailable(Unavailable::OutcomeUnknown)),
        _ => Act::Go,
    });
    let reply = w.erase("a").await.expect("erased");
    assert!(reply.certificate.is_none());
    director.well();
    let certificate = erased(&w, "a").await;
    assert!(held(&place, &certificate).certificate.level >= Reached::Shredded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_erase_at_once_get_one_certificate() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let w = w.clone();
        asking.spawn(async move { erased(&w, "a").await.name });
    }
    let names: BTreeSet<String> = asking.join_all().await.into_iter().collect();
    assert_eq!(names.len(), 1);
}

/// Bits to flip, each once.
pub fn bits(length: usize, count: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..length * 8).collect();
    Dice::new(5).shuffle(&mut all);
    all.truncate(count);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_flipped_bits_are_ten_thousand_refusals() {
    const FLIPS: usize = 10_000;
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("a").await.expect("created");
    let certificate = erased(&w, "a").await;
    held(&place, &certificate);
    let key = public_key(&place);
    let mut file = certificate.document.into_bytes();
    let flips = bits(file.len(), FLIPS);
    for bit in &flips {
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&file, &key).is_err(), "bit {bit}");
        file[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(verify(&file, &key).is_ok());
    println!(
        "{} of {} flipped bits refused, the untouched file holds",
        flips.len(),
        flips.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_the_epoch_is_closed_a_certificate_says_so_and_only_its_name_finds_it() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for id in ["somebody-1", "somebody-2"] {
        w.create(id).await.expect("created");
    }
    let first = settled(&place, &w, "somebody-1").await;
    w.close_to_the_end().await;
    // The id is as never seen, and nothing leads from the number to the name.
    let unknown = w.erase("somebody-1").await;
    assert!(unknown.is_err_and(|f| f.is("CUSTOMER_NOT_FOUND")));
    let ids = "SELECT count(*) FROM certificate_ids";
    let ids: i64 = place
        .vault()
        .query_row(ids, [], |row| row.get(0))
        .expect("a count");
    assert_eq!(ids, 0);
    let found = w.certificate(&first.name, &customer("somebody-1")).await;
    let signed = held(&place, &found.expect("found"));
    let told = &signed.certificate;
    assert_eq!((told.level, told.epoch.destroyed), (Reached::Closed, true));
    assert_eq!(told.events.len(), 3);
    assert_eq!(told.epoch.final_by.as_ref(), Some(&told.events[2].day));
    assert_eq!(signed.opening.expect("whom").customer, "somebody-1");
    // Who is erased in the next epoch is stamped with that.
    let second = settled(&place, &w, "somebody-2").await;
    assert_eq!(held(&place, &second).certificate.epoch.number, 2);
}
