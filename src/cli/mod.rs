//! The command line: one file a noun.

pub mod init;
pub mod pki;
