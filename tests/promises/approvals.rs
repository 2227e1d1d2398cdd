//! Two people: what the configuration names waits for a second principal, who
//! is never the first; it is done once, and both names are in the log.

use crate::caller::{Answer, Caller, connect, customer, heard, record};
use crate::log::{Fact, Log};
use crate::place::{Place, Server, until};
use crate::restraint::{filled, why};
use oubliette::clock::Instant;
use oubliette::pb;

fn demanding(actions: &str) -> Place {
    demanding_within(actions, "1h")
}

/// What is asked for and what is approved holds so long.
fn demanding_within(actions: &str, time: &str) -> Place {
    let place = Place::quick();
    place.configure(
        "# [approvals]\n# demand = \"destroy-epoch compromise\"\n# time = \"24h\"\n",
        &format!("[approvals]\ndemand = \"{actions}\"\ntime = \"{time}\"\n"),
    );
    place
}

pub async fn listed(w: &Caller) -> Vec<pb::Approval> {
    let request = pb::ListApprovalsRequest {};
    let listed = heard(w.keys.clone().list_approvals(request).await);
    listed.expect("listed").approvals
}

pub async fn decide(w: &Caller, approval: i64, approve: bool) -> Answer<pb::Approval> {
    let request = pb::DecideApprovalRequest { approval, approve };
    let decided = heard(w.keys.clone().decide_approval(request).await)?;
    Ok(decided.approval.unwrap_or_default())
}

async fn compromise(w: &Caller) -> Answer<pb::Job> {
    let request = pb::CompromiseKeysRequest {
        customer: customer("somebody"),
        reason: "a laptop was lost".to_owned(),
    };
    let begun = heard(w.keys.clone().compromise_keys(request).await)?;
    Ok(begun.job.unwrap_or_default())
}

async fn state(w: &Caller, job: i64) -> Option<(pb::JobState, String)> {
    let status = w.key_status().await.expect("counted");
    let mut jobs = status.jobs.into_iter();
    let job = jobs.find(|of| of.job == job)?;
    Some((job.state(), job.reason))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_is_destroyed_only_when_a_second_principal_has_approved() {
    let place = demanding("destroy-epoch");
    let server = Server::start(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    first.create("somebody").await.expect("created");
    first.erase("somebody").await.expect("erased");
    let job = first.close().await.expect("it begins").job;
    let waits = Some((pb::JobState::Waiting, "APPROVAL_NEEDED".to_owned()));
    until("it waits", async || state(&first, job).await == waits).await;
    let asked = listed(&second).await;
    assert_eq!(asked.len(), 1);
    assert_eq!((&*asked[0].action, asked[0].target), ("destroy-epoch", 1));
    assert_eq!(asked[0].requester, "acme/w00");
    let own = decide(&first, asked[0].approval, true).await;
    let own = own.expect_err("nobody approves their own");
    assert!(own.is("SECOND_PERSON_NEEDED"), "{}", own.reason);
    assert!(place.path().join("keys").read_dir().expect("keys").count() > 1);

    // A restart changes nothing of it.
    server.stop();
    let server = Server::start(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    assert_eq!(state(&first, job).await, waits);
    let mut log = Log::of(&place);
    log.skip();
    let decided = decide(&second, asked[0].approval, true).await;
    assert_eq!(
        decided.expect("decided").state(),
        pb::ApprovalState::Approved
    );
    until("it is closed", async || state(&first, job).await.is_none()).await;
    let facts: Vec<Fact> = log
        .new_leaves()
        .into_iter()
        .filter_map(|l| l.fact)
        .collect();
    let both = |asked: &str, approved: &str| (asked, approved) == ("acme/w00", "acme/w01");
    assert!(facts.iter().any(|fact| matches!(fact,
        Fact::ApprovalDecided { requester, decider, approved: true, .. }
            if both(requester, decider))));
    assert!(facts.iter().any(|fact| matches!(fact,
        Fact::EpochClosed { requester, approver, epoch: 1, .. } if both(requester, approver))));
    assert_eq!(listed(&first).await[0].state(), pb::ApprovalState::Used);
    let twice = decide(&second, asked[0].approval, true).await;
    assert!(twice.is_err_and(|f| f.is("APPROVAL_NOT_FOUND")));
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_whose_destruction_was_rejected_is_kept() {
    let place = demanding("destroy-epoch");
    let server = Server::start(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    let job = first.close().await.expect("it begins").job;
    let waits = Some((pb::JobState::Waiting, "APPROVAL_NEEDED".to_owned()));
    until("it waits", async || state(&first, job).await == waits).await;
    let asked = listed(&second).await[0].approval;
    decide(&second, asked, false).await.expect("rejected");
    let paused = Some((pb::JobState::Paused, "APPROVAL_REJECTED".to_owned()));
    assert_eq!(state(&first, job).await, paused);
    let status = first.key_status().await.expect("counted");
    assert_eq!(status.epochs[0].state(), pb::EpochState::Closing);
    assert_eq!(status.epochs[0].life(), pb::KeyLife::Deactivated);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_used_up_by_what_it_was_given_for() {
    let place = demanding("compromise");
    let server = Server::start(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    first.create("somebody").await.expect("created");
    let refused = compromise(&first).await.err().expect("two people");
    assert!(refused.is("APPROVAL_NEEDED"), "{}", refused.reason);
    let asked = listed(&second).await[0].clone();
    let next = format!("oubliette key approval approve {}", asked.approval);
    assert!(refused.to_string().contains(&next), "{refused}");
    assert_eq!(asked.reason, "a laptop was lost");
    // Asking again is the same request; somebody else's is another.
    assert!(
        compromise(&first)
            .await
            .is_err_and(|f| f.is("APPROVAL_NEEDED"))
    );
    assert_eq!(listed(&second).await.len(), 1);
    decide(&second, asked.approval, true)
        .await
        .expect("approved");
    assert!(
        compromise(&second)
            .await
            .is_err_and(|f| f.is("APPROVAL_NEEDED"))
    );
    let job = compromise(&first).await.expect("approved").job;
    until("it is done", async || state(&first, job).await.is_none()).await;
    assert!(
        compromise(&first)
            .await
            .is_err_and(|f| f.is("APPROVAL_NEEDED"))
    );
    let status = first.key_status().await.expect("counted");
    assert_eq!(status.generations[0].destroyed_compromised_keys, 1);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_past_its_time_is_neither_decided_nor_used() {
    let place = demanding_within("compromise", "1s");
    let server = Server::start(&place);
    let first = connect(&place, &server, "acme/w00").await;
    let second = connect(&place, &server, "acme/w01").await;
    first.create("somebody").await.expect("created");
    let asked = async || {
        let refused = compromise(&first).await.err().expect("two people");
        assert!(refused.is("APPROVAL_NEEDED"), "{}", refused.reason);
        listed(&second).await[0].clone()
    };
    let expired = async |approval: i64| {
        until("its time is over", async || {
            let rows = listed(&second).await;
            let row = rows.iter().find(|row| row.approval == approval);
            row.is_some_and(|row| row.expire_seconds < Instant::now().seconds())
        })
        .await;
    };
    let unseen = asked().await.approval;
    expired(unseen).await;
    let late = decide(&second, unseen, true).await;
    assert!(late.is_err_and(|f| f.is("APPROVAL_NOT_FOUND")));
    let approved = asked().await.approval;
    assert_ne!(approved, unseen, "it is asked for anew");
    decide(&second, approved, true).await.expect("in time");
    expired(approved).await;
    assert_ne!(asked().await.approval, approved, "it holds no more");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_lifted_only_when_a_second_principal_has_approved() {
    let place = demanding("lift-hold");
    let server = Server::start(&place);
    let first = filled(&place, &server, &["a"]).await;
    let second = connect(&place, &server, "acme/w01").await;
    let hold = first.hold("a", "card", "name").await.expect("held");
    // Refused without; asking again is the same request.
    for _ in 0..2 {
        assert_eq!(why(first.release(&hold).await), "APPROVAL_NEEDED");
    }
    let asked = listed(&second).await;
    assert_eq!((asked.len(), &*asked[0].action), (1, "lift-hold"));
    assert!(asked[0].reason.contains(&hold.name), "{}", asked[0].reason);
    assert!(!asked[0].reason.contains("a claim"), "{}", asked[0].reason);
    let own = decide(&first, asked[0].approval, true).await;
    assert_eq!(why(own), "SECOND_PERSON_NEEDED");

    // An approval that is past its time is none, and the next call asks anew.
    decide(&second, asked[0].approval, true)
        .await
        .expect("approved");
    place
        .keys()
        .execute("UPDATE approvals SET expires = 1", [])
        .expect("time passes");
    assert_eq!(why(first.release(&hold).await), "APPROVAL_NEEDED");
    let asked = listed(&second).await;
    assert_eq!(asked.len(), 2);
    place
        .keys()
        .execute("UPDATE approvals SET expires = 1", [])
        .expect("time passes");
    let late = decide(&second, asked[0].approval, true).await;
    assert_eq!(why(late), "APPROVAL_NOT_FOUND");

    // Rejected, it stays; approved, both names are in the entry, once.
    assert_eq!(why(first.release(&hold).await), "APPROVAL_NEEDED");
    let asked = listed(&second).await[0].approval;
    decide(&second, asked, false).await.expect("rejected");
    assert_eq!(why(first.release(&hold).await), "APPROVAL_REJECTED");
    assert_eq!(why(first.get(&record("a", "a")).await), "HELD");
    assert_eq!(why(second.release(&hold).await), "APPROVAL_NEEDED");
    let asked = listed(&first).await[0].approval;
    decide(&first, asked, true).await.expect("approved");
    let mut log = Log::of(&place);
    log.skip();
    second.release(&hold).await.expect("approved");
    let facts = log.new_leaves().into_iter().filter_map(|leaf| leaf.fact);
    let both = facts.filter(|fact| {
        matches!(fact, Fact::Restraint { event, requester, approver, .. }
            if (&**event, &**requester, &**approver) == ("released", "acme/w01", "acme/w00"))
    });
    assert_eq!(both.count(), 1);
    assert_eq!(why(first.get(&record("a", "a")).await), "OK");
    // What is not there takes nobody's time.
    assert_eq!(why(first.release(&hold).await), "HOLD_NOT_FOUND");
    assert_eq!(listed(&first).await.len(), 4);
    server.stop();
}
