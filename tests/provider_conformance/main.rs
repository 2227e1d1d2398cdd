//! What every key provider must do: the same suite over files, a SoftHSM2
//! token and the Transit engine's stand-in; and what each says when it is
//! down, slow or answers nonsense.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails loudly"
)]

mod file;
mod pkcs11;
mod suite;
mod transit;
mod transit_stand_in;
