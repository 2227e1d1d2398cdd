//! The rules of the house that no compiler knows: which floor may call which,
//! what is kept in one place only, what must never be committed. An exception
//! stands beside its rule, with the reason.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr
)]

#[path = "tidy/committed.rs"]
mod committed;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/proto.rs"]
mod proto;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

/// Fails with every finding, one a line.
fn none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
