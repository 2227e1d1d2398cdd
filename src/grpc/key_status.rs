//! GetKeyStatus: the key tree, counted, on the wire.

use super::job;
use super::value::date;
use crate::keys::Assurance;
use crate::pb;
use crate::store::{EpochState, UsedKey};
use crate::vault::{EpochView, StatusView, Vault};

/// What was counted.
pub fn response(vault: &Vault, view: &StatusView) -> pb::GetKeyStatusResponse {
    let epochs = view.epochs.iter();
    pb::GetKeyStatusResponse {
        epochs: epochs.map(|of| epoch(vault, of, view)).collect(),
        customer_pages: view.counts.customer_pages.cast_signed(),
        index_pages: view.counts.index_pages.cast_signed(),
        customers: view.counts.customers.cast_signed(),
        generations: generations(view),
        purges_pending: view.purges_pending.cast_signed(),
        jobs: view.jobs.iter().map(job::job).collect(),
    }
}

fn last_use(view: &StatusView, of: UsedKey, number: u32) -> Option<pb::Date> {
    let mut uses = view.uses.iter();
    let found = uses.find(|used| used.of == of && used.number == number);
    found.map(|used| date(used.day))
}

/// Every generation of which there are keys or were some.
fn generations(view: &StatusView) -> Vec<pb::GenerationCount> {
    let living = view.counts.generations.iter().map(|of| of.generation);
    let mut numbers: Vec<u32> = living
        .chain(view.ends.iter().map(|of| of.generation))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().map(|of| generation(view, of)).collect()
}

fn generation(view: &StatusView, number: u32) -> pb::GenerationCount {
    let mut living = view.counts.generations.iter();
    let keys = living.find(|of| of.generation == number);
    let keys = keys.map_or(0, |of| of.keys);
    let mut apart = view.apart.iter();
    let apart = apart.find(|(of, ..)| *of == number);
    let (_, older, compromised) = apart.copied().unwrap_or_default();
    let ended = |compromised: bool| {
        let mut ends = view.ends.iter();
        let end = ends.find(|of| of.generation == number && of.compromised == compromised);
        end.map_or(0, |of| of.keys).cast_signed()
    };
    let older = older.saturating_sub(compromised);
    pb::GenerationCount {
        generation: number.cast_signed(),
        keys: keys.cast_signed(),
        active_keys: keys.saturating_sub(older + compromised).cast_signed(),
        deactivated_keys: older.cast_signed(),
        compromised_keys: compromised.cast_signed(),
        destroyed_keys: ended(false),
        destroyed_compromised_keys: ended(true),
        last_use_date: last_use(view, UsedKey::Generation, number),
    }
}

fn epoch(vault: &Vault, epoch: &EpochView, view: &StatusView) -> pb::EpochStatus {
    let counts = view.counts.epochs.iter().find(|of| of.0 == epoch.epoch);
    let (_, pages, dirty, erasures) = counts.copied().unwrap_or_default();
    pb::EpochStatus {
        epoch: i64::from(epoch.epoch),
        state: match epoch.state {
            EpochState::Active => pb::EpochState::Active.into(),
            EpochState::Closing | EpochState::Condemned => pb::EpochState::Closing.into(),
            EpochState::Destroyed => pb::EpochState::Destroyed.into(),
        },
        provider: epoch.providers.join(" "),
        assurance: match vault.worth(&epoch.providers) {
            Assurance::Hsm => pb::Assurance::Hsm.into(),
            Assurance::Provider => pb::Assurance::Provider.into(),
            Assurance::Scheduled => pb::Assurance::Scheduled.into(),
            Assurance::BestEffort => pb::Assurance::BestEffort.into(),
        },
        open_date: Some(date(epoch.opened)),
        pages: pages.cast_signed(),
        dirty_pages: dirty.cast_signed(),
        erasures: erasures.cast_signed(),
        life: match epoch.state {
            EpochState::Destroyed => pb::KeyLife::Destroyed.into(),
            _ if view.is_sealed => pb::KeyLife::Suspended.into(),
            EpochState::Active => pb::KeyLife::Active.into(),
            EpochState::Closing | EpochState::Condemned => pb::KeyLife::Deactivated.into(),
        },
        last_use_date: last_use(view, UsedKey::Epoch, epoch.epoch),
    }
}
