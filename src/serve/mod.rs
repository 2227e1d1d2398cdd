//! The server around the services: how connections come in, how long they may
//! take, what is counted, and how it all ends in order.

mod anchoring;
pub mod connection;
mod elsewhere;
mod epochs;
pub mod harden;
pub mod listener;
pub mod lock;
pub mod probes;
mod providers;
pub mod readiness;
pub mod reload;
mod requests;
mod retention;
mod run;
mod sealing;
pub mod server;
pub mod signalling;
pub mod telemetry;
pub mod tls;
pub mod witness;

pub use elsewhere::{
    DataRestore, KeysRestore, KeysSource, attack, backup_data, backup_keys, restore_data,
    restore_keys, vault_key,
};
pub use run::{ADDRESS_FILE, customers_seen, found, open_rows, open_store, run, run_over};
