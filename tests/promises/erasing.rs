//! What comes in the way of an erasure ends in one clear state each. Beside
//! these: a repeat (certificate.rs), a hold and one's own approval (restraint.rs,
//! rights.rs), a full disk (fails_closed.rs), a caller who goes away and a crash
//! (pending.rs, levels.rs).

use crate::caller::{Caller, connect, named, record};
use crate::certificate::held;
use crate::faulty::{Act, Director, Step, open};
use crate::place::{Place, Server, until};
use oubliette::error::{Error, Unavailable};
use oubliette::pb;
use std::sync::Arc;
use tokio::sync::Semaphore;

async fn somebody(w: &Caller, id: &str) -> String {
    w.create(id).await.expect("created");
    let name = record(id, "r");
    w.put(&name, named("N")).await.expect("written");
    name
}

async fn purged(w: &Caller, id: &str) {
    until("it is purged", async || {
        let shown = w.show(id).await.expect("shown");
        shown.erasure_level() == pb::ErasureLevel::Purged
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_existed_is_not_found_and_looks_like_who_is_forgotten_to_those_who_may_not_know()
{
    let place = Place::quick();
    let policy = place.config_file("policy.cedar");
    let text = std::fs::read_to_string(&policy).expect("a policy");
    let more = "@id(\"readers-erase\")\npermit (principal in Role::\"reader\", \
                action == Action::\"erase_customer\", resource);\n";
    std::fs::write(&policy, format!("{text}{more}")).expect("written");
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    somebody(&w, "a").await;
    let never = w.erase("nobody").await.err().expect("refused");
    assert!(never.is("CUSTOMER_NOT_FOUND"), "{never}");
    w.erase("a").await.expect("erased");
    // The reader may erase and may not know who was erased before.
    let reader = connect(&place, &server, "acme/reader").await;
    let (dead, never) = (reader.show("a").await, reader.show("nobody").await);
    let (dead, never) = (dead.err().expect("refused"), never.err().expect("refused"));
    assert_eq!(
        (dead.reason, dead.message, dead.code),
        (never.reason, never.message, never.code)
    );
    let idle = connect(&place, &server, "acme/idle").await;
    for id in ["a", "nobody"] {
        let refused = idle.erase(id).await.err().expect("refused");
        assert!(refused.is("POLICY_DENIED"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_during_the_purge_gets_the_same_certificate_and_the_purge_goes_on() {
    let (place, director) = (Place::quick(), Director::new());
    let server = Server::over(&place, open(&director));
    let w = connect(&place, &server, "acme/w00").await;
    let name = somebody(&w, "a").await;
    let gate = Arc::new(Semaphore::new(0));
    let shut = Arc::clone(&gate);
    director.say(move |step| match step {
        Step::Purge => Act::Wait(Arc::clone(&shut)),
        _ => Act::Go,
    });
    let first = w.erase("a").await.expect("erased");
    let again = w.erase("a").await.expect("erased");
    let (first, again) = (
        first.certificate.expect("a certificate"),
        again.certificate.expect("a certificate"),
    );
    assert_eq!(first.name, again.name);
    let shown = w.show("a").await.expect("shown");
    assert_eq!(shown.erasure_level(), pb::ErasureLevel::Shredded);
    assert!(w.get(&name).await.is_err_and(|f| f.is("CUSTOMER_ERASED")));
    gate.add_permits(1_000);
    purged(&w, "a").await;
    let last = w.erase("a").await.expect("erased");
    let last = last.certificate.expect("a certificate");
    assert_eq!(last.name, first.name);
    assert_eq!(held(&place, &last).certificate.level.name(), "L3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_erased_while_an_epoch_is_closed_is_erased_and_final_with_one_of_the_two() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let mut names = Vec::new();
    for number in 0..40 {
        names.push(somebody(&w, &format!("c{number}")).await);
    }
    let job = w.close().await.expect("it begins");
    let mut erasing = tokio::task::JoinSet::new();
    for number in 0..40 {
        let w = w.clone();
        erasing.spawn(async move { w.erase(&format!("c{number}")).await });
    }
    let replies = erasing.join_all().await;
    let last = w.watch(job.job).await.expect("watched").pop();
    assert_eq!(last.expect("a job").state(), pb::JobState::Done);
    for reply in replies {
        let reply = reply.expect("erased");
        assert!((1..=2).contains(&reply.epoch), "epoch {}", reply.epoch);
    }
    for name in &names {
        let gone = w.get(name).await.err().expect("nothing is read");
        let dead = ["CUSTOMER_ERASED", "CUSTOMER_NOT_FOUND"];
        assert!(dead.contains(&gone.reason.as_str()), "{gone}");
    }
    until("nothing is left to purge", async || {
        w.key_status().await.expect("counted").purges_pending == 0
    })
    .await;
    w.close_to_the_end().await;
    let keys = "SELECT count(*) FROM customer_keys";
    let keys: i64 = place
        .keys()
        .query_row(keys, [], |row| row.get(0))
        .expect("a count");
    assert_eq!(keys, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_log_fails_an_erasure_has_not_begun_or_is_finished_by_a_repeat() {
    let unwritten = || Act::Refuse(Error::Unavailable(Unavailable::OutcomeUnknown));
    for (step, has_begun) in [(Step::IntendErasure, false), (Step::RecordShred, true)] {
        let (place, director) = (Place::quick(), Director::new());
        let server = Server::over(&place, open(&director));
        let w = connect(&place, &server, "acme/w00").await;
        let name = somebody(&w, "a").await;
        director.say(move |at| if at == step { unwritten() } else { Act::Go });
        let failed = w.erase("a").await.err().expect("not acknowledged");
        assert!(failed.is("OUTCOME_UNKNOWN"), "{step:?}: {failed}");
        let read = w.get(&name).await;
        assert_eq!(read.is_err(), has_begun, "{step:?}");
        director.well();
        let reply = w.erase("a").await.expect("erased");
        held(&place, &reply.certificate.expect("a certificate"));
        purged(&w, "a").await;
        server.stop();
        let server = Server::start(&place);
        let w = connect(&place, &server, "acme/w00").await;
        let gone = w.get(&name).await;
        assert!(gone.is_err_and(|f| f.is("CUSTOMER_ERASED")));
    }
}
