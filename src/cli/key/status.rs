//! `oubliette key status`.

use super::job;
use crate::cli::caller::Caller;
use crate::cli::stop::Done;
use crate::cli::value::date_text;
use crate::pb;
use clap::Args;
use serde_json::{Value as Json, json};

/// Arguments of `key status`.
#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    pub(super) caller: Caller,
}

impl Status {
    /// Asks and shows.
    pub async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let reply = client.get_key_status(pb::GetKeyStatusRequest {}).await?;
        let mut out = self.caller.out();
        out.document(&document(&reply));
        let epochs: Vec<Vec<String>> = reply.epochs.iter().map(epoch_row).collect();
        let header = [
            "epoch",
            "state",
            "provider",
            "destroying it is",
            "key (NIST)",
            "opened",
            "last used",
            "pages",
            "dirty",
            "erasures",
        ];
        out.table(&header, &epochs);
        let rows = vec![
            vec!["customers".to_owned(), reply.customers.to_string()],
            vec![
                "pages of customer keys".to_owned(),
                reply.customer_pages.to_string(),
            ],
            vec![
                "pages of the index".to_owned(),
                reply.index_pages.to_string(),
            ],
            vec![
                "purges pending".to_owned(),
                reply.purges_pending.to_string(),
            ],
        ];
        out.table(&["", "count"], &rows);
        let rows: Vec<Vec<String>> = reply.generations.iter().map(generation_row).collect();
        out.table(&GENERATIONS, &rows);
        if !reply.jobs.is_empty() {
            let rows: Vec<Vec<String>> = reply.jobs.iter().map(job::row).collect();
            out.table(&job::HEADER, &rows);
        }
        Ok(())
    }
}

fn state(epoch: &pb::EpochStatus) -> &'static str {
    match epoch.state() {
        pb::EpochState::Unspecified => "",
        pb::EpochState::Active => "active",
        pb::EpochState::Closing => "closing",
        pb::EpochState::Destroyed => "destroyed",
    }
}

fn assurance(epoch: &pb::EpochStatus) -> &'static str {
    match epoch.assurance() {
        pb::Assurance::Unspecified => "",
        pb::Assurance::Hsm => "hsm",
        pb::Assurance::Provider => "provider",
        pb::Assurance::Scheduled => "scheduled",
        pb::Assurance::BestEffort => "best-effort",
    }
}

/// Where its master key stands, in the words of NIST SP 800-57.
fn life(epoch: &pb::EpochStatus) -> &'static str {
    match epoch.life() {
        pb::KeyLife::Unspecified => "",
        pb::KeyLife::PreActivation => "pre-activation",
        pb::KeyLife::Active => "active",
        pb::KeyLife::Suspended => "suspended",
        pb::KeyLife::Deactivated => "deactivated",
        pb::KeyLife::Compromised => "compromised",
        pb::KeyLife::Destroyed => "destroyed",
        pb::KeyLife::DestroyedCompromised => "destroyed compromised",
    }
}

const GENERATIONS: [&str; 7] = [
    "field keys of generation",
    "active",
    "deactivated",
    "compromised",
    "destroyed",
    "destroyed compromised",
    "last used",
];

fn generation_row(of: &pb::GenerationCount) -> Vec<String> {
    vec![
        of.generation.to_string(),
        of.active_keys.to_string(),
        of.deactivated_keys.to_string(),
        of.compromised_keys.to_string(),
        of.destroyed_keys.to_string(),
        of.destroyed_compromised_keys.to_string(),
        date_text(of.last_use_date.as_ref()),
    ]
}

fn generation(of: &pb::GenerationCount) -> Json {
    json!({
        "generation": of.generation,
        "keys": of.keys,
        "active": of.active_keys,
        "deactivated": of.deactivated_keys,
        "compromised": of.compromised_keys,
        "destroyed": of.destroyed_keys,
        "destroyed_compromised": of.destroyed_compromised_keys,
        "last_use_date": date_text(of.last_use_date.as_ref()),
    })
}

fn epoch_row(epoch: &pb::EpochStatus) -> Vec<String> {
    vec![
        epoch.epoch.to_string(),
        state(epoch).to_owned(),
        epoch.provider.clone(),
        assurance(epoch).to_owned(),
        life(epoch).to_owned(),
        date_text(epoch.open_date.as_ref()),
        date_text(epoch.last_use_date.as_ref()),
        epoch.pages.to_string(),
        epoch.dirty_pages.to_string(),
        epoch.erasures.to_string(),
    ]
}

fn document(reply: &pb::GetKeyStatusResponse) -> Json {
    let epochs: Vec<Json> = reply
        .epochs
        .iter()
        .map(|epoch| {
            json!({
                "epoch": epoch.epoch,
                "state": state(epoch),
                "provider": epoch.provider,
                "assurance": assurance(epoch),
                "life": life(epoch),
                "open_date": date_text(epoch.open_date.as_ref()),
                "last_use_date": date_text(epoch.last_use_date.as_ref()),
                "pages": epoch.pages,
                "dirty_pages": epoch.dirty_pages,
                "erasures": epoch.erasures,
            })
        })
        .collect();
    let generations: Vec<Json> = reply.generations.iter().map(generation).collect();
    json!({
        "epochs": epochs,
        "customers": reply.customers,
        "customer_pages": reply.customer_pages,
        "index_pages": reply.index_pages,
        "generations": generations,
        "purges_pending": reply.purges_pending,
        "jobs": reply.jobs.iter().map(job::document).collect::<Vec<_>>(),
    })
}
