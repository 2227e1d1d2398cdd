//! The promises, each held against a real server: over gRPC with mTLS, and
//! where a fault of the process matters, as a process of its own.
//!
//! Short by default; `OUBLIETTE_LONG=1` makes the campaigns as long as they
//! can be.

mod caller;
mod faulty;
mod forgotten;
mod guarded;
mod in_place;
mod index;
mod log;
mod needles;
mod once;
mod pending;
mod place;
mod process;
mod raw;
mod rules;
mod streams;
mod tampered;
mod written;
