//! `oubliette customer`: created, looked at without opening anything,
//! forgotten.

use super::caller::Caller;
use super::certificate::{self, write_file};
use super::erase_list::EraseList;
use super::out::{Out, ask, can_ask, note, printable};
use super::restrict::{Restrict, Unrestrict};
use super::stop::{Done, Stop};
use super::value::date_text;
use crate::client::request_id;
use crate::pb;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// What can be done with customers.
#[derive(Subcommand, Debug)]
pub enum Customer {
    /// Create a customer with keys of their own
    Create(Create),
    /// Show what state a customer is in; never a field
    Show(Show),
    /// Forget a customer by destroying their keys; cannot be undone
    Erase(Erase),
    /// Forget a list of customers, one after the other; cannot be undone
    EraseList(EraseList),
    /// Restrict the processing of a customer's data: kept, and not used
    Restrict(Restrict),
    /// Lift the restriction of a customer, who was told before
    Unrestrict(Unrestrict),
    /// Write what is known of a customer to files: a signed report, or what
    /// they may take along
    Export(Export),
}

/// Arguments of `customer create`.
#[derive(Args, Debug)]
pub struct Create {
    /// The customer's id
    id: String,
    /// Create the id anew although a customer of it was erased
    #[arg(long)]
    recreate_erased: bool,
    /// Repeat an earlier change with its request id, a UUID
    #[arg(long, value_name = "UUID")]
    request_id: Option<String>,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `customer show`.
#[derive(Args, Debug)]
pub struct Show {
    /// The customer's id
    id: String,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `customer erase`.
#[derive(Args, Debug)]
pub struct Erase {
    /// The customer's id
    id: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Write the erasure certificate to this file, which must be new
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `customer export`.
#[derive(Args, Debug)]
pub struct Export {
    /// The customer's id
    id: String,
    /// The purpose that it is read for
    #[arg(long)]
    purpose: String,
    /// Only what they provided, to take along
    #[arg(long)]
    portable: bool,
    /// The directory to write the files to, which is made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    caller: Caller,
}

/// `customers/{customer}` from the id alone or from the whole name.
pub fn full_name(typed: &str) -> String {
    match typed.strip_prefix("customers/") {
        Some(id) => format!("customers/{id}"),
        None => format!("customers/{typed}"),
    }
}

/// How far an erasure has come, with its level from L0 to L4.
pub fn level(level: pb::ErasureLevel) -> &'static str {
    match level {
        pb::ErasureLevel::Unspecified => "",
        pb::ErasureLevel::Restricted => "L0 restricted: no reads, no writes",
        pb::ErasureLevel::Grace => "L1 grace: can still be called off",
        pb::ErasureLevel::Shredded => "L2 shredded: the keys are destroyed",
        pb::ErasureLevel::Purged => "L3 purged: the ciphertext is gone too",
        pb::ErasureLevel::Closed => "L4 closed: no backup brings them back",
    }
}

impl Customer {
    /// The client options.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::Create(create) => &create.caller,
            Self::Show(show) => &show.caller,
            Self::Erase(erase) => &erase.caller,
            Self::EraseList(list) => &list.caller,
            Self::Restrict(restrict) => &restrict.caller,
            Self::Unrestrict(unrestrict) => &unrestrict.caller,
            Self::Export(export) => &export.caller,
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        match self {
            Self::Create(create) => create.run().await,
            Self::Show(show) => show.run().await,
            Self::Erase(erase) => erase.run().await,
            Self::EraseList(list) => list.run().await,
            Self::Restrict(restrict) => restrict.run().await,
            Self::Unrestrict(unrestrict) => unrestrict.run().await,
            Self::Export(export) => export.run().await,
        }
    }
}

pub fn document(customer: &pb::Customer) -> Json {
    json!({
        "name": customer.name,
        "state": customer.state().as_str_name().trim_start_matches("CUSTOMER_STATE_"),
        "erasure_level":
            customer.erasure_level().as_str_name().trim_start_matches("ERASURE_LEVEL_"),
        "key_generation": customer.key_generation,
        "record_count": customer.record_count,
        "create_date": date_text(customer.create_date.as_ref()),
        "purge_total": customer.purge_total,
        "purge_done": customer.purge_done,
        "restricted": customer.restricted,
        "held": customer.held,
        "erased_in_part": customer.erased_in_part,
    })
}

pub fn shown(out: &mut Out, customer: &pb::Customer) {
    let erased = customer.state() == pb::CustomerState::Erased;
    let state = if erased { "erased" } else { "active" };
    let mut rows = vec![
        vec!["customer".to_owned(), customer.name.clone()],
        vec!["state".to_owned(), state.to_owned()],
    ];
    if erased {
        let reached = level(customer.erasure_level()).to_owned();
        rows.push(vec!["erasure".to_owned(), reached]);
        let purged = format!(
            "{} of {} records",
            customer.purge_done, customer.purge_total
        );
        rows.push(vec!["purged".to_owned(), purged]);
    } else {
        let created = date_text(customer.create_date.as_ref());
        rows.extend([
            vec![
                "key generation".to_owned(),
                customer.key_generation.to_string(),
            ],
            vec!["records".to_owned(), customer.record_count.to_string()],
            vec!["created".to_owned(), created],
        ]);
        let waits = level(customer.erasure_level());
        for (is_so, name, text) in [
            (customer.restricted, "restricted", "yes: kept, and not used"),
            (
                customer.held,
                "held",
                "yes: `hold list --customer` says what",
            ),
            (!waits.is_empty(), "erasure", waits),
            (
                customer.erased_in_part,
                "erased",
                "in part: all that is not held is gone",
            ),
        ] {
            if is_so {
                rows.push(vec![name.to_owned(), text.to_owned()]);
            }
        }
    }
    out.table(&["", ""], &rows);
}

impl Create {
    async fn run(self) -> Done {
        let request = pb::CreateCustomerRequest {
            customer_id: self.id,
            request_id: self.request_id.unwrap_or_else(request_id),
            recreate_erased: self.recreate_erased,
        };
        let reply = self
            .caller
            .connect()
            .await?
            .create_customer(request)
            .await?;
        let customer = reply.customer.unwrap_or_default();
        let mut out = self.caller.out();
        out.document(&json!({ "customer": document(&customer) }));
        shown(&mut out, &customer);
        Ok(())
    }
}

impl Show {
    async fn run(self) -> Done {
        let name = full_name(&self.id);
        let client = self.caller.connect().await?;
        let reply = client.get_customer(pb::GetCustomerRequest { name }).await?;
        let customer = reply.customer.unwrap_or_default();
        let mut out = self.caller.out();
        out.document(&json!({ "customer": document(&customer) }));
        shown(&mut out, &customer);
        Ok(())
    }
}

impl Export {
    async fn run(self) -> Done {
        let kind = match self.portable {
            true => pb::ExportKind::Portable,
            false => pb::ExportKind::Report,
        };
        let request = pb::ExportCustomerRequest {
            name: full_name(&self.id),
            purpose: self.purpose,
            kind: kind.into(),
        };
        let files = self
            .caller
            .connect()
            .await?
            .export_customer(request)
            .await?;
        super::pki::make_private_dir(&self.out)?;
        let mut out = self.caller.out();
        let mut written = Vec::new();
        for (name, content) in files {
            let path = self.out.join(name);
            let text = String::from_utf8(content);
            let text = text.map_err(|_| Stop::Failed("the server sent no text".to_owned()))?;
            write_file(&path, &text)?;
            out.line(&format!("wrote {}", path.display()));
            written.push(path.display().to_string());
        }
        out.document(&json!({ "files": written }));
        Ok(())
    }
}

/// Shows where the certificate is found, and writes it where that was asked.
pub fn certified(out: &mut Out, made: Option<&pb::Certificate>, file: Option<&Path>) -> Done {
    let Some(made) = made else {
        note("The certificate could not be made just now; repeat the command to get it.");
        return Ok(());
    };
    out.line(&format!("Its certificate is {}", made.name));
    match file {
        Some(path) => {
            write_file(path, &made.document)?;
            out.line(&format!("and was written to {}.", path.display()));
        }
        None => out.line("Keep that name: once the epoch is closed, nothing else finds it."),
    }
    Ok(())
}

/// What is held, as the certificate of an erasure in part says it.
pub fn held_back(out: &mut Out, made: Option<&pb::Certificate>) {
    for line in made.map(certificate::kept).unwrap_or_default() {
        out.line(&printable(&line));
    }
    out.line("It is kept, not used, and erased when its holds are released.");
}

impl Erase {
    async fn run(self) -> Done {
        if !self.yes {
            self.confirm()?;
        }
        let request = pb::EraseCustomerRequest {
            name: full_name(&self.id),
            request_id: request_id(),
        };
        let reply = self.caller.connect().await?.erase_customer(request).await?;
        let customer = reply.customer.unwrap_or_default();
        let mut out = self.caller.out();
        out.document(&json!({
            "customer": document(&customer),
            "epoch": reply.epoch,
            "in_part": reply.in_part,
            "certificate": reply.certificate.as_ref().map(certificate::document),
        }));
        shown(&mut out, &customer);
        let epoch = reply.epoch;
        match reply.in_part {
            false => out.line(&format!(
                "Nothing of this customer can be read any more. Backups die with key epoch {epoch}."
            )),
            true => {
                out.line(&format!(
                    "All that is not held is erased. What old backups have of it dies with key \
                     epoch {epoch}."
                ));
                held_back(&mut out, reply.certificate.as_ref());
            }
        }
        certified(
            &mut out,
            reply.certificate.as_ref(),
            self.certificate.as_deref(),
        )
    }

    /// Asks a person to repeat the id; anyone else must have said `--yes`.
    fn confirm(&self) -> Done {
        if !can_ask() {
            return Err(Stop::Failed(
                "erasing cannot be undone and there is no terminal to ask; nothing was done; \
                 repeat the command with --yes"
                    .to_owned(),
            ));
        }
        note("This destroys the customer's keys. Nobody can undo it, nor can a backup.");
        let question = format!("Type the id {} to go on: ", printable(&self.id));
        let answer = ask(&question).map_err(|error| {
            Stop::Failed(format!(
                "the answer cannot be read ({error}); nothing was done"
            ))
        })?;
        match answer == self.id {
            true => Ok(()),
            false => Err(Stop::Failed("not confirmed; nothing was done".to_owned())),
        }
    }
}
