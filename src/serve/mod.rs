//! The server around the services: how connections come in, how long they may
//! take, what is counted, and how it all ends in order.

pub mod connection;
pub mod harden;
pub mod listener;
pub mod lock;
pub mod probes;
pub mod readiness;
pub mod reload;
mod run;
mod sealing;
pub mod server;
pub mod telemetry;
pub mod tls;

pub use run::{ADDRESS_FILE, found, open_rows, open_store, run, run_over};
