//! Who is calling, and which server: the options that every client command
//! takes.

use super::out::Out;
use super::stop::Done;
use crate::client::{Client, place};
use clap::Args;
use std::path::PathBuf;

/// Which directory, which principal, which form of answer.
#[derive(Args, Debug, Clone)]
pub struct Caller {
    /// A directory made by `oubliette init`: address, authority, identities
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "DIR")]
    pub dir: PathBuf,
    /// The principal to call as: tenant/service, or a service alone
    #[arg(long = "as", env = "OUBLIETTE_AS", value_name = "PRINCIPAL")]
    pub principal: Option<String>,
    /// Answer with one JSON document
    #[arg(long)]
    pub json: bool,
}

impl Caller {
    /// The output that fits the options.
    pub fn out(&self) -> Out {
        Out::new(self.json)
    }

    /// How a next command names the same directory and caller.
    pub fn as_typed(&self) -> String {
        let who = self.principal.as_ref().map(|who| format!(" --as {who}"));
        format!(" --dir {}{}", self.dir.display(), who.unwrap_or_default())
    }

    /// Connects.
    pub async fn connect(&self) -> Done<Client> {
        let identity = place::identity(&self.dir, self.principal.as_deref())?;
        let address = place::address(&self.dir)?;
        Ok(Client::connect_to(address, &self.dir, &identity).await?)
    }
}
