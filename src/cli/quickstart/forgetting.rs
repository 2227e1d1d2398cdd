//! A customer is forgotten, and stays so.

use super::crm::{self, Crm, ID_COLUMN, cell};
use super::search::{LEAST_BYTES, Needles};
use super::stage::{Stage, read, refused};
use super::story::Story;
use super::writing::NEW_ADDRESS;
use crate::cli::customer::{full_name, level};
use crate::cli::stop::{Done, Stop};
use crate::client::{Client, request_id};
use crate::pb;
use std::time::{Duration, Instant};

/// How long the story waits for the purge that follows an erasure.
const PURGE_TIME: Duration = Duration::from_secs(10);

/// The privacy office forgets a customer.
pub async fn erase(story: &mut Story, stage: &Stage, crm: &Crm) -> Done {
    story.chapter("A customer asks to be forgotten");
    let name = full_name(cell(&crm.forgotten, ID_COLUMN));
    let office = stage.caller("acme/privacy-office").await?;
    let known = read(
        &office,
        &crm::contact(&crm.forgotten),
        "privacy_requests",
        &[],
    )
    .await?;
    story.say(&format!(
        "acme/privacy-office can read {} fields of this customer. It erases:",
        known.fields.len()
    ));
    let request = pb::EraseCustomerRequest {
        name,
        request_id: request_id(),
    };
    let reply = office.erase_customer(request).await?;
    let customer = reply.customer.unwrap_or_default();
    story.show(&format!(
        "{}; backups die with key epoch {}",
        level(customer.erasure_level()),
        reply.epoch
    ));
    story.check(
        customer.erasure_level() >= pb::ErasureLevel::Shredded,
        "the keys were destroyed before the reply was sent",
    );
    story.say("Who may know reads why; who may not reads what strangers read:");
    is_forgotten(story, stage, crm, &office).await?;
    story.say("The privacy office tries to create the same id again:");
    let create = pb::CreateCustomerRequest {
        customer_id: cell(&crm.forgotten, ID_COLUMN).to_owned(),
        request_id: request_id(),
        recreate_erased: false,
    };
    refused(
        story,
        office.create_customer(create).await,
        "CUSTOMER_WAS_ERASED",
        "nobody comes back by accident",
    );
    Ok(())
}

async fn is_forgotten(story: &mut Story, stage: &Stage, crm: &Crm, office: &Client) -> Done {
    let contact = crm::contact(&crm.forgotten);
    refused(
        story,
        read(office, &contact, "privacy_requests", &[]).await,
        "CUSTOMER_ERASED",
        "the privacy office is told that the customer was forgotten",
    );
    let desk = stage.caller("acme/support-desk").await?;
    refused(
        story,
        read(&desk, &contact, "support", &[]).await,
        "CUSTOMER_NOT_FOUND",
        "the support desk is told that there is no such customer",
    );
    Ok(())
}

/// kill -9 changes nothing.
pub async fn restart(story: &mut Story, stage: &mut Stage, crm: &Crm) -> Done {
    story.chapter("The power fails");
    let before = stage.server.id();
    stage.kill_and_restart()?;
    let after = stage.server.id();
    story.say(&format!(
        "kill -9 {before}; a new server, process {after}, starts on the same files."
    ));
    let office = stage.caller("acme/privacy-office").await?;
    is_forgotten(story, stage, crm, &office).await?;
    let checkout = stage.caller("acme/checkout").await?;
    let known = read(
        &checkout,
        &crm::contact(&crm.known),
        "service_delivery",
        &[],
    )
    .await?;
    let revision = known.metadata.map_or(0, |metadata| metadata.revision);
    story.check(
        revision == 2,
        "the others are there, with their last change",
    );
    let level = purged(&office, &full_name(cell(&crm.forgotten, ID_COLUMN))).await?;
    story.check(
        level >= pb::ErasureLevel::Purged,
        "ciphertext and index rows of the forgotten customer are gone too (L3)",
    );
    Ok(())
}

/// Waits for the purge and answers how far it came.
async fn purged(office: &Client, name: &str) -> Done<pb::ErasureLevel> {
    let began = Instant::now();
    loop {
        let request = pb::GetCustomerRequest {
            name: name.to_owned(),
        };
        let reply = office.get_customer(request).await?;
        let level = reply.customer.unwrap_or_default().erasure_level();
        if level >= pb::ErasureLevel::Purged || began.elapsed() > PURGE_TIME {
            return Ok(level);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every file, byte by byte.
pub fn look_for_plaintext(story: &mut Story, stage: &Stage, crm: &Crm) -> Done {
    story.chapter("Somebody steals the disk");
    story.say(&format!(
        "Every file of the vault's directory is searched for every value and id of {LEAST_BYTES}\n\
         bytes or more, as UTF-8, UTF-16 and base64: databases, logs, keys and all."
    ));
    let unreadable = |error| Stop::file(stage.dir(), "searched", &error);
    let gone = Needles::new(crm.forgotten.values().map(String::as_str));
    let found = gone.search(stage.dir()).map_err(unreadable)?;
    story.check(
        found.hits.is_empty() && gone.len() > 0,
        &format!("0 of {} values of the forgotten customer", gone.len()),
    );
    let values = crm
        .rows
        .iter()
        .flat_map(|row| row.values().map(String::as_str));
    let all = Needles::new(values.chain([NEW_ADDRESS]));
    let found = all.search(stage.dir()).map_err(unreadable)?;
    for hit in &found.hits {
        story.show(&format!("found in {}", hit.display()));
    }
    story.check(
        found.hits.is_empty() && found.files > 0,
        &format!(
            "0 of {} values of all customers, in {} files of {} KiB",
            all.len(),
            found.files,
            found.bytes / 1024
        ),
    );
    Ok(())
}
