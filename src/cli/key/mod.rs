//! `oubliette key`: the key tree, without key bytes, and what is done to it.

mod approval;
mod epoch;
mod job;
mod rotate;
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
    /// Give customers a new generation of field keys, and re-encrypt under it
    Rotate(rotate::Rotate),
    /// Say that a customer's keys are compromised: blocked until re-encrypted
    Compromise(rotate::Compromise),
    /// What takes a second person
    #[command(subcommand)]
    Approval(approval::Approval),
}

impl Key {
    /// The client options.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::Status(status) => &status.caller,
            Self::Epoch(epoch) => epoch.caller(),
            Self::Rotate(rotate) => &rotate.caller,
            Self::Compromise(compromise) => &compromise.caller,
            Self::Approval(approval) => approval.caller(),
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        match self {
            Self::Status(status) => status.run().await,
            Self::Epoch(epoch) => epoch.run().await,
            Self::Rotate(rotate) => rotate.run().await,
            Self::Compromise(compromise) => compromise.run().await,
            Self::Approval(approval) => approval.run().await,
        }
    }
}
