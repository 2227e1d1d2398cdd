//! What every backend of `store::Store` must do. Each test runs on every
//! backend of [`backends`]; a new backend is one more factory there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod beside_log;
mod customers;
mod epochs;
mod erasure;
mod files;
mod history;
mod house;
mod in_part;
mod index;
mod keeping;
mod keys;
mod leaves;
mod made;
mod model;
mod pruning;
mod records;
mod requests;
mod reserve;
mod restraints;
mod shared;
mod sqlite;
mod tree;

use house::{Backend, House};

/// One factory a backend, each answering an empty vault that is its own.
fn backends() -> Vec<fn() -> Box<dyn Backend>> {
    vec![sqlite::backend]
}

/// Runs a check on an empty vault of each backend.
fn on_each(check: impl Fn(&mut House)) {
    for backend in backends() {
        check(&mut House::new(backend()));
    }
}
