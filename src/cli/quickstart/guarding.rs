//! What is refused, and the rule that refused it.

use super::crm::{self, Crm};
use super::stage::{Stage, read, refused};
use super::story::Story;
use crate::cli::record::fields_table;
use crate::cli::stop::Done;
use crate::client::request_id;
use crate::pb;

/// Four things that are not allowed, and one way to ask that helps.
pub async fn denials(story: &mut Story, stage: &Stage, crm: &Crm) -> Done {
    let known = crm::contact(&crm.known);
    story.chapter("Four denials");
    story.say("The recommender wants the phone number too, for the same purpose:");
    let recommender = stage.caller("acme/recommender").await?;
    let wanted = ["city", "phone"];
    refused(
        story,
        read(&recommender, &known, "personalization", &wanted).await,
        "FIELD_NOT_IN_PURPOSE",
        "one field that the purpose does not need denies the whole read",
    );
    story.say("It asks again for \"what I may see\":");
    let request = pb::GetRecordRequest {
        name: known.clone(),
        record_type: "contact".to_owned(),
        purpose: "personalization".to_owned(),
        fields: wanted.map(str::to_owned).to_vec(),
        mode: pb::ReadMode::WhatIMaySee.into(),
        with_handle: false,
    };
    let record = recommender
        .get_record(request)
        .await?
        .record
        .unwrap_or_default();
    story.show(&fields_table(&record));
    story.check(
        record.fields.contains_key("city") && record.withheld.iter().any(|w| w.field == "phone"),
        "it gets the city, and for the phone number the reason why not",
    );
    story
        .say("It tries the privacy office's purpose, which sees the birth date as it was written:");
    refused(
        story,
        read(&recommender, &known, "privacy_requests", &["birth_date"]).await,
        "PURPOSE_NOT_GRANTED",
        "a purpose is no password: it works only for the roles it is granted to",
    );
    story.say("acme/mailer wants to send an offer; the customer was never asked:");
    let mailer = stage.caller("acme/mailer").await?;
    refused(
        story,
        read(&mailer, &known, "direct_marketing", &[]).await,
        "CONSENT_MISSING",
        "no consent, no direct marketing",
    );
    story.say("The recommender tries to delete the record:");
    let request = pb::DeleteRecordRequest {
        name: known,
        record_type: "contact".to_owned(),
        request_id: request_id(),
        expected_revision: None,
    };
    refused(
        story,
        recommender.delete_record(request).await,
        "POLICY_DENIED",
        "what no policy permits is denied",
    );
    Ok(())
}

/// Another tenant with the same role and the same policies.
pub async fn tenants(story: &mut Story, stage: &Stage, crm: &Crm) -> Done {
    let known = crm::contact(&crm.known);
    story.chapter("Two tenants");
    story.say("acme/checkout and globex/checkout have the same role. Both read the same name:");
    let ours = stage.caller("acme/checkout").await?;
    let theirs = stage.caller("globex/checkout").await?;
    let seen = read(&ours, &known, "service_delivery", &["city"]).await;
    story.check(seen.is_ok(), "acme's checkout finds acme's customer");
    refused(
        story,
        read(&theirs, &known, "service_delivery", &["city"]).await,
        "CUSTOMER_NOT_FOUND",
        "globex's checkout finds nothing: the tenant is the certificate's, never the request's",
    );
    Ok(())
}
