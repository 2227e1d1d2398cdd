//! A customer says yes, and takes it back: felt by the next read.

use super::crm::{self, Crm, ID_COLUMN, cell};
use super::stage::{Stage, read, refused};
use super::story::Story;
use crate::cli::customer::full_name;
use crate::cli::record::fields_table;
use crate::cli::stop::{Done, Stop};
use crate::client::{Client, request_id};
use crate::keys::note;
use crate::keys::signing::PublicKey;
use crate::pb;
use std::time::Duration;

const PURPOSE: &str = "direct_marketing";
/// How long the story waits for an event that is on record.
const EVENT_TIME: Duration = Duration::from_secs(10);

/// Consent, a read, a withdrawal, a denial.
pub async fn consent(story: &mut Story, stage: &Stage, crm: &Crm) -> Done {
    story.chapter("A customer says yes, and takes it back");
    let (known, name) = (
        crm::contact(&crm.known),
        full_name(cell(&crm.known, ID_COLUMN)),
    );
    let checkout = stage.caller("acme/checkout").await?;
    let mailer = stage.caller("acme/mailer").await?;
    let yes = pb::RecordConsentRequest {
        name: name.clone(),
        purpose: PURPOSE.to_owned(),
        decision: pb::ConsentDecision::Given.into(),
        notice_version: 1,
        language: "en".to_owned(),
        method: pb::ConsentMethod::Form.into(),
        channel: "web".to_owned(),
        request_id: request_id(),
        ..Default::default()
    };
    story.say("At checkout the newsletter's window is closed without an answer:");
    let dismissed = pb::RecordConsentRequest {
        method: pb::ConsentMethod::Dismiss.into(),
        request_id: request_id(),
        ..yes.clone()
    };
    refused(
        story,
        checkout.record_consent(dismissed).await,
        "INVALID_REQUEST",
        "a closed window is no yes",
    );
    story.say("Then the customer reads version 1 of the notice and ticks the box:");
    let given = checkout.record_consent(yes).await?;
    story.check(
        given.state.is_some_and(|state| state.denied_by.is_empty()),
        "the yes is on record, bound to the text that was shown",
    );
    let record = read(&mailer, &known, PURPOSE, &[]).await?;
    story.show(&fields_table(&record));
    story.check(
        record.fields.contains_key("email"),
        "acme/mailer, denied a chapter ago, reads the address now",
    );
    story.say("Under the first newsletter the customer follows the link that takes it back:");
    let no = pb::WithdrawConsentRequest {
        name: name.clone(),
        purpose: PURPOSE.to_owned(),
        request_id: request_id(),
    };
    mailer.withdraw_consent(no).await?;
    refused(
        story,
        read(&mailer, &known, PURPOSE, &[]).await,
        "CONSENT_WITHDRAWN",
        "the very next read is denied: the decision is part of the decrypt",
    );
    let office = stage.caller("acme/privacy-office").await?;
    told(story, &mailer, &office).await?;
    receipt(story, &office, name).await
}

/// Whoever read for the purpose hears of it, and says so.
async fn told(story: &mut Story, mailer: &Client, office: &Client) -> Done {
    story.say("Who read for that purpose is told, by a handle and never by data:");
    let request = pb::WatchEventsRequest { after: 0 };
    let mut stream = mailer.watch_events(request).await?;
    let first = tokio::time::timeout(EVENT_TIME, stream.next()).await;
    let none = |_| Stop::Failed("no event came in time".to_owned());
    let events = first.map_err(none)??.unwrap_or_default().events;
    for event in &events {
        let kind = event.kind().as_str_name().trim_start_matches("EVENT_KIND_");
        story.show(&format!("{kind}  {}  {}", event.purpose, event.handle));
    }
    let is_it = |event: &pb::LifecycleEvent| {
        event.kind() == pb::EventKind::ConsentWithdrawn
            && event.purpose == PURPOSE
            && !event.handle.is_empty()
    };
    story.check(
        events.iter().any(is_it),
        "acme/mailer hears of the withdrawal",
    );
    let numbers = events.iter().map(|event| event.number).collect();
    let request = pb::AcknowledgeEventsRequest { numbers };
    let acknowledged = mailer.acknowledge_events(request).await?.acknowledged;
    let request = pb::ListUnacknowledgedEventsRequest::default();
    let left = office.list_unacknowledged_events(request).await?.events;
    story.check(
        acknowledged > 0 && left.is_empty(),
        "it acknowledged, and the privacy office sees nobody left to hear of it",
    );
    Ok(())
}

/// What the customer keeps of it.
async fn receipt(story: &mut Story, office: &Client, name: String) -> Done {
    let request = pb::GetReceiptRequest { name, event: 1 };
    let reply = office.get_receipt(request).await?;
    let key = PublicKey::parse(&reply.public_key);
    let key = key.ok_or_else(|| Stop::Failed("the vault's public key is none".to_owned()))?;
    let forged = reply.receipt.replacen("ConsentGiven", "ConsentRefused", 1);
    story.check(
        note::open(&reply.receipt, &key).is_some() && note::open(&forged, &key).is_none(),
        "the receipt of the yes is checked offline, and one with a word changed is refused",
    );
    Ok(())
}
