//! What services are told of customers whose data they read: that consent was
//! taken back, that somebody was forgotten, and what else they must act on. The
//! first read by a (customer, purpose, service) leaves a reader row, in the
//! transaction of its audit entry; a change turns the rows into events, in the
//! transaction of the change; an event is told until it is acknowledged, and is
//! gone then.
//!
//! A reader row is sealed under the customer's own key, so it is forgotten with
//! them. An event outlives that, and is sealed under the open epoch's key.

mod readers;
mod tell;
mod watch;

pub(super) use readers::{FirstRead, Readers};
pub use tell::{EventKind, Heard};
pub(super) use tell::{heard, tidings};
pub use watch::{EventPage, EventView, Unheard};
