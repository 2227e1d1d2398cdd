//! How long data is kept (GDPR art. 5(1)(e)): where each value came from and
//! when is put on record as it is written; past its time it cannot be read; and
//! a sweep deletes it. A sweep looks at the days on which records were written,
//! not at records: what it costs follows what has come due.

mod origin;
mod sweep;

pub(super) use origin::Origins;
pub use sweep::{KeepingView, Swept};
