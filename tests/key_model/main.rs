//! The key tree as symbols: which key wraps which, in the databases and in
//! every backup ever made, through random schedules of creations, erasures,
//! backups, restores, crashes and closes of epochs.
//!
//! Read `model.rs` to learn how an epoch is closed and what a restore must do:
//! it is the same law as in docs/FORMAT.md ("Key tree", "Database tables"),
//! without bytes. `attacker.rs` is whoever holds all backups, the databases as
//! they are and every key that the provider still keeps: what can be reached
//! from there along the wraps is open to them.
//!
//! After every step:
//! - no customer whose erasure is certified closed is reachable,
//! - every living customer is reachable from the present databases alone,
//! - nobody who was erased has keys in the present databases,
//! - whoever is erased and not closed yet is reachable where a backup holds
//!   them: the attacker is as strong as it should be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails loudly"
)]

mod attacker;
mod model;

use attacker::{Found, look};
use model::{Mistake, World};

/// Schedules in CI; `OUBLIETTE_LONG` plays ten times as many.
const SCHEDULES: u64 = 600;
/// Steps of a schedule.
const STEPS: usize = 160;

fn schedules() -> u64 {
    match std::env::var_os("OUBLIETTE_LONG") {
        Some(value) if value != "0" => SCHEDULES * 10,
        _ => SCHEDULES,
    }
}

/// Plays one schedule and looks after every step; what was seen, and the first
/// breach with the step at which it was there.
fn play(seed: u64, mistake: Option<Mistake>) -> (Found, Option<String>) {
    let mut world = World::new(seed, mistake);
    let mut all = Found::default();
    for step in 0..STEPS {
        let did = world.step();
        match look(&world) {
            Ok(found) => all = all.and(found),
            Err(breach) => {
                let told = format!("schedule {seed}, step {step} ({did}): {breach}");
                return (all, Some(told));
            }
        }
    }
    (all, None)
}

#[test]
fn no_certified_erasure_is_reachable_and_no_survivor_is_lost() {
    let mut all = Found::default();
    for seed in 0..schedules() {
        let (found, breach) = play(seed, None);
        assert_eq!(breach, None);
        all = all.and(found);
    }
    println!(
        "{} schedules: {} closed erasures looked at, 0 reachable; {} pending ones, {} reachable; \
         {} living customers, 0 lost; {} closes, {} restores",
        schedules(),
        all.closed,
        all.pending,
        all.pending_reachable,
        all.living,
        all.closes,
        all.restores,
    );
    // The schedules did what they are for, and the attacker has teeth.
    let often = schedules();
    assert!(all.closed > often && all.closes > often && all.restores > often);
    assert!(all.pending_reachable > often && all.living > often);
}

#[test]
fn each_planted_mistake_is_found() {
    for mistake in Mistake::ALL {
        let breach = (0..schedules()).find_map(|seed| play(seed, Some(mistake)).1);
        let breach = breach.unwrap_or_else(|| panic!("{mistake:?} was not found"));
        println!("{mistake:?}: {breach}");
    }
}
