//! Where the story is played: a directory, a server, and its callers.

use super::story::Story;
use crate::cli::child::Server;
use crate::cli::init::{Layout, init};
use crate::cli::stop::Done;
use crate::cli::workplace::Workplace;
use crate::client::{Client, Failure, place};
use crate::pb;
use std::path::Path;

/// The stage.
pub struct Stage {
    // Dropped in this order: first the server, then its directory.
    /// The server.
    pub server: Server,
    workplace: Workplace,
}

impl Stage {
    /// Makes the directory and starts the server.
    pub fn set(story: &mut Story, dir: Option<&Path>) -> Done<Self> {
        story.chapter("Keys, certificates, a server");
        let workplace = match dir {
            Some(dir) => Workplace::at(dir)?,
            None => Workplace::temporary("quickstart")?,
        };
        let made = init(workplace.dir(), &Layout::default())?;
        story.say(&format!(
            "oubliette init made {}:\n\
             \x20   config/  catalog, policy and roles of the example\n\
             \x20   pki/     an authority and a certificate for each of {} services\n\
             \x20   keys/    for the provider key, apart from the data\n\
             \x20   data/    for the databases",
            workplace.dir().display(),
            made.principals.len(),
        ));
        let server = workplace.serve()?;
        story.say(&format!(
            "oubliette serve runs as process {} and speaks TLS 1.3 at {}.",
            server.id(),
            server.address
        ));
        Ok(Self { server, workplace })
    }

    /// The vault's directory.
    pub fn dir(&self) -> &Path {
        self.workplace.dir()
    }

    /// Whether the directory is removed at the end.
    pub fn is_temporary(&self) -> bool {
        self.workplace.is_temporary()
    }

    /// Connects as a principal.
    pub async fn caller(&self, principal: &str) -> Done<Client> {
        let identity = place::identity(self.dir(), Some(principal))?;
        Ok(Client::connect_to(self.server.address, self.dir(), &identity).await?)
    }

    /// kill -9, and a new server on the same directory.
    pub fn kill_and_restart(&mut self) -> Done {
        self.server.kill();
        self.server = self.workplace.serve()?;
        Ok(())
    }
}

/// Reads a contact record for a purpose; no fields: all that it may see.
pub async fn read(
    caller: &Client,
    name: &str,
    purpose: &str,
    fields: &[&str],
) -> Result<pb::Record, Failure> {
    let request = pb::GetRecordRequest {
        name: name.to_owned(),
        record_type: "contact".to_owned(),
        purpose: purpose.to_owned(),
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
        mode: pb::ReadMode::AllOrNothing.into(),
        with_handle: false,
    };
    let reply = caller.get_record(request).await?;
    Ok(reply.record.unwrap_or_default())
}

/// Tells of a call that must be refused, and checks that it was, and why.
pub fn refused<T>(story: &mut Story, result: Result<T, Failure>, reason: &str, claim: &str) {
    match result {
        Ok(_) => story.check(false, &format!("{claim}, but it was not refused")),
        Err(failure) => {
            story.show(&failure.to_string());
            story.check(failure.is(reason), claim);
        }
    }
}
