//! A server whose clock is ahead: what is old by its time was done just now.

use crate::place::Place;
use crate::process::Process;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// A server whose clock is so many days ahead.
pub fn days_ahead(place: &Place, days: u32) -> Process {
    by_clock(place, "OUBLIETTE_TEST_DAYS", OsStr::new(&days.to_string()))
}

/// A server by a clock that `name` says how to set.
fn by_clock(place: &Place, name: &str, value: &OsStr) -> Process {
    let library = place.path().join("clock.so");
    // The C compiler that SQLite is built with is there.
    let built = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/promises/clock.c"
        ))
        .status();
    assert!(built.expect("a C compiler").success());
    Process::within(place, &[("LD_PRELOAD", library.as_os_str()), (name, value)])
}

/// How far [`server`] is ahead. Certificates that `init` makes last longer.
const DAYS: u32 = 120;

/// A server to which what was just done is old.
pub fn server(place: &Place) -> Process {
    days_ahead(place, DAYS)
}

/// So many days before its now, as a request says it.
pub fn ago(days: u32) -> prost_types::Timestamp {
    let apart = Duration::from_secs(u64::from(DAYS.abs_diff(days)) * 86_400);
    let now = SystemTime::now();
    let then = if days > DAYS {
        now - apart
    } else {
        now + apart
    };
    prost_types::Timestamp::from(then)
}

/// A clock that a test moves. It begins at half past the hour, so that none ends
/// by itself meanwhile.
pub struct Hands {
    file: PathBuf,
    ahead: u64,
}

const HOUR: u64 = 3_600;

fn since_1970() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

impl Hands {
    /// For servers of a vault.
    pub fn of(place: &Place) -> Self {
        let ahead = HOUR + HOUR / 2 - since_1970() % HOUR;
        let file = place.path().join("clock");
        let hands = Self { file, ahead };
        hands.show();
        hands
    }

    fn show(&self) {
        // Whoever looks sees the old or the new.
        let beside = self.file.with_extension("new");
        fs::write(&beside, self.ahead.to_string()).expect("written");
        fs::rename(beside, &self.file).expect("renamed");
    }

    /// Moves it on by so many hours.
    pub fn move_on(&mut self, hours: u64) {
        self.ahead += hours * HOUR;
        self.show();
    }

    /// The hour of the day, UTC.
    pub fn hour(&self) -> u64 {
        (since_1970() + self.ahead) / HOUR % 24
    }

    /// A server by this clock.
    pub fn server(&self, place: &Place) -> Process {
        by_clock(place, "OUBLIETTE_TEST_CLOCK", self.file.as_os_str())
    }
}
