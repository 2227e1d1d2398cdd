//! The wire.

mod status;
