//! A customer says yes, and takes it back: felt by the next read.

use super::crm::{self, Crm, ID_COLUMN, cell};
use super::stage::{Stage, read, refused};
use super::story::Story;
use crate::cli::customer::full_name;
use crate::cli::record::fields_table;
use crate::cli::stop::{Done, Stop};
use crate::client::request_id;
use crate::keys::note;
use crate::keys::signing::PublicKey;
use crate::pb;

const PURPOSE: &str = "direct_marketing";

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
    receipt(story, stage, name).await
}

/// What the customer keeps of it.
async fn receipt(story: &mut Story, stage: &Stage, name: String) -> Done {
    let office = stage.caller("acme/privacy-office").await?;
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
