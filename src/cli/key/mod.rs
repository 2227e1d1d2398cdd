//! `oubliette key`: the key tree, without key bytes, and what is done to it.

mod epoch;
mod job;
mod status;

use super::caller::Caller;
use super::stop::Done;
use clap::Subcommand;

/// What can be done with keys.
#[derive(Subcommand, Debug)]
pub enum Key {
    /// Show epochs, pages and generations, what hangs on which, and jobs
    Status(status::Status),
    /// Close the open epoch: erasures become final in every backup
    #[command(subcommand)]
    Epoch(epoch::Epoch),
}

impl Key {
    /// The client options.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::Status(status) => &status.caller,
            Self::Epoch(epoch) => epoch.caller(),
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        match self {
            Self::Status(status) => status.run().await,
            Self::Epoch(epoch) => epoch.run().await,
        }
    }
}
