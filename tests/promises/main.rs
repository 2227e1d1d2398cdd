//! The promises, each held against a real server: over gRPC with mTLS, and
//! where a fault of the process matters, as a process of its own.
//!
//! Short by default; `OUBLIETTE_LONG=1` makes the campaigns as long as they
//! can be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a test fails loudly"
)]

mod anchored;
mod attack;
mod audit_report;
mod bad_input;
mod caller;
mod certificate;
mod closed;
mod closing_killed;
mod consent;
mod disaster;
mod disk;
mod exported;
mod fails_closed;
mod faults;
mod faulty;
mod forgotten;
mod guarded;
mod in_place;
mod index;
mod kill;
mod levels;
mod log;
mod needles;
mod once;
mod page;
mod pending;
mod place;
mod process;
mod provable;
mod providers;
mod questions;
mod raw;
mod report;
mod restore;
mod rights;
mod rules;
mod seal;
mod sealed;
mod signals;
mod silence;
mod streams;
mod tampered;
#[allow(dead_code, reason = "the conformance suite asks more of it")]
#[path = "../provider_conformance/transit_stand_in.rs"]
mod transit_stand_in;
mod unlinkable;
mod witnessed;
mod written;
