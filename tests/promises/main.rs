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
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test fails loudly"
)]

mod anchored;
mod approvals;
mod attack;
mod attack_everywhere;
mod audit_report;
mod bad_input;
mod caller;
mod certificate;
mod closed;
mod closing_killed;
mod closing_steps;
mod consent;
mod deciding;
mod disaster;
mod disk;
mod erasing;
mod events;
mod exported;
mod fails_closed;
mod faults;
mod faulty;
mod forgotten;
mod generations;
mod guarded;
#[path = "../provider_conformance/https.rs"]
mod https;
mod imported;
mod in_part;
mod in_part_told;
mod in_place;
mod index;
mod keepers;
mod kill;
#[cfg(feature = "aws-kms")]
#[allow(dead_code, reason = "the conformance suite asks more of it")]
#[path = "../provider_conformance/kms_stand_in.rs"]
mod kms_stand_in;
mod later;
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
mod pruned;
mod pruned_export;
mod questions;
mod raw;
mod remains;
mod report;
mod restore;
mod restored_consent;
mod restraint;
mod retention;
mod reviewed;
mod rights;
mod rules;
mod seal;
mod sealed;
mod signals;
mod signals_learned;
mod silence;
mod streams;
mod tampered;
#[path = "../provider_conformance/token.rs"]
mod token;
#[allow(dead_code, reason = "the conformance suite asks more of it")]
#[path = "../provider_conformance/transit_stand_in.rs"]
mod transit_stand_in;
mod unlinkable;
mod witnessed;
mod witnessed_tls;
mod written;
