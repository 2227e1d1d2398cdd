//! The server around the services, attacked from outside: who gets in, for how
//! long, and how many. The service behind it is grpc.health.v1.

// Tests may fail loudly, their helpers too.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod connections;
mod drain;
mod place;
mod probes;
mod raw;
mod tls;
