//! When each epoch and each generation was last used, to the day: kept in
//! memory, where a use costs a look, and written down now and then by nobody's
//! call. A read writes no state.

use super::Vault;
use crate::clock::{Day, Instant};
use crate::error::Result;
use crate::limits;
use crate::store::{KeyUse, UsedKey};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{PoisonError, RwLock};

/// What was used since the process started.
pub struct LastUsed {
    today: AtomicI32,
    epochs: Days,
    generations: Days,
}

/// Days by number.
#[derive(Default)]
struct Days(RwLock<BTreeMap<u32, AtomicI32>>);

impl Days {
    fn touch(&self, number: u32, today: i32) {
        let days = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(day) = days.get(&number) {
            if day.load(Ordering::Relaxed) < today {
                day.store(today, Ordering::Relaxed);
            }
            return;
        }
        drop(days);
        let mut days = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if days.len() >= limits::KEY_USES {
            days.pop_first();
        }
        days.insert(number, AtomicI32::new(today));
    }

    fn all(&self, of: UsedKey) -> Vec<KeyUse> {
        let days = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let days = days.iter().map(|(number, day)| KeyUse {
            of,
            number: *number,
            day: Day(day.load(Ordering::Relaxed)),
        });
        days.collect()
    }
}

impl LastUsed {
    pub(super) fn new() -> Self {
        Self {
            today: AtomicI32::new(Instant::now().day().0),
            epochs: Days::default(),
            generations: Days::default(),
        }
    }

    /// Something was opened or sealed under a page of the epoch.
    pub(super) fn epoch(&self, epoch: u32) {
        self.epochs.touch(epoch, self.today.load(Ordering::Relaxed));
    }

    /// A record was opened or sealed under a generation.
    pub(super) fn generation(&self, generation: u32) {
        let today = self.today.load(Ordering::Relaxed);
        self.generations.touch(generation, today);
    }

    fn all(&self) -> Vec<KeyUse> {
        let mut all = self.epochs.all(UsedKey::Epoch);
        all.extend(self.generations.all(UsedKey::Generation));
        all
    }
}

impl Vault {
    /// Writes down what was used; from here on it is `now`'s day. Called now
    /// and then and at the end, never by a read.
    pub async fn note_uses(&self, now: Instant) -> Result<()> {
        let used = self.0.keyring.used();
        used.today.store(now.day().0, Ordering::Relaxed);
        let all = used.all();
        let known = self.on_rows(|rows, _| rows.key_uses()).await?;
        let news: Vec<KeyUse> = all.into_iter().filter(|of| !known.contains(of)).collect();
        if news.is_empty() {
            return Ok(());
        }
        self.0.store.note_uses(news).in_time().await
    }

    /// What is written down and what is in memory, together.
    pub(super) fn uses(&self, known: Vec<KeyUse>) -> Vec<KeyUse> {
        let mut newest: BTreeMap<(UsedKey, u32), Day> = BTreeMap::new();
        for of in known.into_iter().chain(self.0.keyring.used().all()) {
            let day = newest.entry((of.of, of.number)).or_insert(of.day);
            *day = (*day).max(of.day);
        }
        let newest = newest.into_iter();
        newest
            .map(|((of, number), day)| KeyUse { of, number, day })
            .collect()
    }
}
