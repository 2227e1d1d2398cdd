//! `oubliette init` and `oubliette pki`: what there must be before a server
//! and its callers can run.

use super::init::{self, Layout, PKI, TRUST_DOMAIN};
use super::lock::shares_text;
use super::out::Out;
use super::pki::{Authority, ORGANISATION};
use super::stop::{Done, Stop};
use crate::id::{ServiceName, TenantName};
use crate::secret::SecretText;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `init`.
#[derive(Args, Debug)]
pub struct Init {
    /// The directory: new or empty
    dir: PathBuf,
    #[command(flatten)]
    layout: Layout,
    /// Answer with one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

impl Init {
    /// Lays it out and says what to do next.
    pub fn run(self) -> Done {
        let made = init::init(&self.dir, &self.layout)?;
        let mut out = Out::new(self.json);
        let shares: Vec<&str> = made.shares.iter().map(SecretText::expose).collect();
        out.document(&json!({
            "dir": self.dir, "principals": made.principals, "shares": shares,
        }));
        if !shares.is_empty() {
            out.line(&shares_text(&shares));
        }
        let dir = self.dir.display();
        let then = match self.layout.lock.is_some() {
            true => format!("\n      oubliette unseal --dir {dir} --as security"),
            false => String::new(),
        };
        out.line(&format!(
            "{dir} is laid out, with certificates for {}.\n\n\
             Next: oubliette config check --dir {dir}\n      oubliette serve --dir {dir}{then}",
            made.principals.join(", ")
        ));
        Ok(())
    }
}

/// What can be done with certificates.
#[derive(Subcommand, Debug)]
pub enum Pki {
    /// Make the certificate and key of a principal
    Issue(Issue),
}

/// Arguments of `pki issue`.
#[derive(Args, Debug)]
pub struct Issue {
    /// The principal, as the roles file names it: tenant/service
    principal: String,
    /// A directory made by `oubliette init`
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "DIR")]
    dir: PathBuf,
}

impl Pki {
    /// Makes it.
    pub fn run(self) -> Done {
        let Self::Issue(issue) = self;
        let names = issue
            .principal
            .split_once('/')
            .and_then(|(tenant, service)| {
                Some((TenantName::parse(tenant)?, ServiceName::parse(service)?))
            });
        let Some((tenant, service)) = names else {
            return Err(Stop::Usage(
                "name the principal as tenant/service, each a-z, then a-z 0-9 -".to_owned(),
            ));
        };
        let pki = issue.dir.join(PKI);
        let authority = Authority::open(&pki, ORGANISATION)?;
        let made = authority.issue_client(&pki, TRUST_DOMAIN, &tenant, &service)?;
        Out::new(false).line(&format!(
            "{} and its key are made. The roles file must list {tenant}/{service}.",
            made.display()
        ));
        Ok(())
    }
}
