//! What every key provider must do: the same suite over files, a SoftHSM2
//! token and the stand-ins for the Transit engine and AWS KMS; and what each says when it is
//! down, slow or answers nonsense.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::string_slice,
    reason = "a test fails loudly"
)]

#[cfg(feature = "aws-kms")]
mod aws_kms;
mod file;
mod https;
#[cfg(feature = "aws-kms")]
mod kms_stand_in;
mod pkcs11;
mod suite;
mod token;
mod transit;
#[allow(dead_code, reason = "the promises ask more of it")]
mod transit_stand_in;
