//! `oubliette certificate`: erasure certificates, checked by anybody and
//! fetched by those who have a certificate's name.

use super::caller::Caller;
use super::customer::full_name;
use super::out::{Out, note, printable};
use super::stop::{Done, Stop};
use crate::config::Config;
use crate::keys::signing::PublicKey;
use crate::limits;
use crate::pb;
use crate::vault::certificate::document::{
    Certificate as Certified, EpochOf, Exception, Part, Reached, Signed,
};
use crate::vault::certificate::verify::verify;
use crate::vault::rights::report::document::{self as report, SignedReport};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The page that checks a certificate in a browser.
const PAGE: &str = include_str!("../../docs/verify.html");

/// What can be done with certificates.
#[derive(Subcommand, Debug)]
pub enum Certificate {
    /// Check a certificate or a report with a public key; needs no vault and no
    /// network
    Verify(Verify),
    /// Fetch a certificate by its name, issued anew if the erasure has come
    /// further
    Get(Get),
    /// Print the public key that a vault's certificates are checked with
    Key(Key),
    /// Print the web page on which a customer can check a certificate
    Page(Page),
}

/// Arguments of `certificate verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// The certificate
    file: PathBuf,
    /// The vault's public key, or a file that holds it
    #[arg(long, value_name = "PUB")]
    key: String,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

/// Arguments of `certificate get`.
#[derive(Args, Debug)]
pub struct Get {
    /// certificates/{id}, as the erasure's reply had it
    name: String,
    /// The customer it is about, for a copy that names them
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Write the certificate to this file, which must be new
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `certificate key`.
#[derive(Args, Debug)]
pub struct Key {
    /// A directory made by `oubliette init`
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "DIR")]
    dir: PathBuf,
}

/// Arguments of `certificate page`.
#[derive(Args, Debug)]
pub struct Page {
    /// Write it to this file, which must be new
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Certificate {
    /// Whether errors too are told as JSON.
    pub fn json(&self) -> bool {
        match self {
            Self::Verify(verify) => verify.json,
            Self::Get(get) => get.caller.json,
            Self::Key(_) | Self::Page(_) => false,
        }
    }

    /// Does it.
    pub async fn run(self) -> Done {
        match self {
            Self::Verify(verify) => verify.run(),
            Self::Get(get) => get.run().await,
            Self::Key(key) => key.run(),
            Self::Page(page) => write_or_print(page.out.as_deref(), PAGE),
        }
    }
}

/// Writes a new file, only for this user.
pub fn write_file(path: &Path, text: &str) -> Done {
    super::pki::write_new(path, text, 0o600).map_err(Stop::from)
}

fn write_or_print(out: Option<&Path>, text: &str) -> Done {
    match out {
        Some(path) => write_file(path, text),
        None => {
            Out::new(false).raw(text);
            Ok(())
        }
    }
}

/// At most as much of a file as a report may have, and a little more, so that a
/// larger one is seen to be none.
fn read(path: &Path) -> Done<Vec<u8>> {
    let most = limits::REPORT_BYTES + 2;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|error| Stop::file(path, "read", &error))?;
    Ok(bytes)
}

/// A public key as typed, or from the file of that name.
fn public_key(typed: &str) -> Done<PublicKey> {
    let text = match PublicKey::parse(typed) {
        Some(key) => return Ok(key),
        None => fs::read_to_string(typed).unwrap_or_default(),
    };
    PublicKey::parse(&text).ok_or_else(|| {
        Stop::Usage(
            "--key must be a public key such as company.example/vault+1a2b3c4d+AQ..., or a file \
             that holds one; oubliette certificate key prints a vault's"
                .to_owned(),
        )
    })
}

impl Verify {
    fn run(self) -> Done {
        let key = public_key(&self.key)?;
        let mut out = Out::new(self.json);
        let bytes = read(&self.file)?;
        match verify(&bytes, &key) {
            Ok(verified) => {
                let signed = verified.signed;
                out.document(&json!({"holds": true, "certificate": told(&signed)?}));
                out.line("The certificate holds: signed with this key, and unchanged.");
                for line in words(&signed) {
                    out.line(&printable(&line));
                }
                Ok(())
            }
            Err(doubt) => {
                if let Some(signed) = report::verify(&bytes, &key) {
                    return told_report(&mut out, &signed);
                }
                out.document(&json!({"holds": false, "why": doubt.to_string()}));
                note(&format!("The certificate does not hold: {doubt}."));
                Err(Stop::Told)
            }
        }
    }
}

/// A report of what is known of somebody is checked the same way.
fn told_report(out: &mut Out, signed: &SignedReport) -> Done {
    let report = &signed.report;
    let counts = &report.counts;
    out.document(&json!({
        "holds": true,
        "report": {
            "customer": report.customer,
            "made": report.made,
            "records": counts.records,
            "reads": counts.reads,
            "denials": counts.denials,
            "complete_from": report.complete_from,
        },
    }));
    out.line("The report holds: signed with this key, and unchanged.");
    out.line(&printable(&format!("about:       {}", report.customer)));
    out.line(&format!("made:        {}", report.made));
    out.line(&format!("records:     {}", counts.records));
    out.line(&format!("reads:       {}", counts.reads));
    out.line(&format!("denials:     {}", counts.denials));
    if let Some(since) = &report.complete_from {
        out.line(&printable(&format!(
            "complete:    from {since} on; older reads and denials are kept no more"
        )));
    }
    Ok(())
}

fn told(signed: &Signed) -> Done<Json> {
    serde_json::to_value(signed).map_err(|error| Stop::Failed(error.to_string()))
}

/// What a certificate says, for people.
fn words(signed: &Signed) -> Vec<String> {
    let certificate = &signed.certificate;
    let whom = match &signed.opening {
        Some(opening) => opening.customer.as_str(),
        None => "not named in this copy",
    };
    let events = certificate.events.iter();
    let events: Vec<String> = events
        .map(|event| format!("{} on {}", event.level.name(), event.day))
        .collect();
    let mut lines = vec![
        format!("about:       {whom}"),
        format!("erased by:   {}", certificate.tenant),
        format!("level:       {}", meaning(certificate.level)),
        format!("reached:     {}", events.join(", ")),
    ];
    lines.extend(certificate.parts.iter().map(part));
    if certificate.level != Reached::Restricted {
        lines.extend(whole(certificate));
    }
    lines.extend(kept_by_law(&certificate.exceptions));
    lines.extend(certificate.recipients.iter().map(|one| {
        let answer = match one.acknowledged {
            true => "confirmed",
            false => "has not answered",
        };
        format!("told:        {} ({answer})", one.service)
    }));
    let mut logs = certificate.parts.iter().map(|part| part.log.is_some());
    let is_whole = certificate.level == Reached::Restricted || certificate.log.is_some();
    lines.push(match is_whole && logs.all(|has| has) {
        true => "audit log:   holds it, as the proof in this certificate shows".to_owned(),
        false => "audit log:   no proof yet; fetch the certificate again to get one".to_owned(),
    });
    lines
}

/// An erasure of a part, for people.
fn part(part: &Part) -> String {
    let what = match part.what.as_slice() {
        [] => "all that was not held".to_owned(),
        some => some.join(", "),
    };
    format!(
        "erased:      {what}, on {}: {}; backups: {}",
        part.day,
        meaning(part.level),
        backups(&part.epoch)
    )
}

/// What is kept, a line each.
fn kept_by_law(exceptions: &[Exception]) -> Vec<String> {
    let each = exceptions.iter().map(|one| {
        let authority = one.authority.as_ref();
        let authority = authority.map_or_else(String::new, |name| format!(", for {name}"));
        format!("kept by law: {} ({}{authority})", one.what, one.code)
    });
    match exceptions {
        [] => vec!["kept by law: nothing".to_owned()],
        _ => each.collect(),
    }
}

/// The same of a certificate that was just given out.
pub fn kept(made: &pb::Certificate) -> Vec<String> {
    let signed: Option<Signed> = serde_json::from_str(&made.document).ok();
    signed.map_or_else(Vec::new, |signed| {
        kept_by_law(&signed.certificate.exceptions)
    })
}

/// What only the end of all of it has.
fn whole(certificate: &Certified) -> Vec<String> {
    let records = &certificate.records;
    vec![
        format!(
            "records:     {} of {} deleted",
            records.purged, records.there_were
        ),
        format!("keys:        {} destroyed", certificate.keys.len()),
        format!("backups:     {}", backups(&certificate.epoch)),
    ]
}

fn meaning(level: Reached) -> &'static str {
    match level {
        Reached::Restricted => {
            "L0: what is held is kept and not used; all else is gone, as told below"
        }
        Reached::Shredded => "L2: the keys are destroyed, nothing can be read",
        Reached::Purged => "L3: the unreadable rest is deleted too",
        Reached::Closed => "L4: no backup brings anything back",
    }
}

fn backups(epoch: &EpochOf) -> String {
    let (number, worth) = (epoch.number, &epoch.assurance);
    match (&epoch.final_by, epoch.destroyed) {
        (_, true) => format!("dead: the key of epoch {number} is destroyed ({worth})"),
        (Some(day), false) => format!("die with the key of epoch {number} ({worth}), by {day}"),
        (None, false) => format!("die with the key of epoch {number} ({worth})"),
    }
}

impl Get {
    async fn run(self) -> Done {
        let request = pb::GetCertificateRequest {
            name: self.name,
            customer: self.customer.as_deref().map(full_name).unwrap_or_default(),
        };
        let reply = self
            .caller
            .connect()
            .await?
            .get_certificate(request)
            .await?;
        let certificate = reply.certificate.unwrap_or_default();
        let mut out = self.caller.out();
        match &self.out {
            Some(path) => {
                write_file(path, &certificate.document)?;
                out.document(&document(&certificate));
                let shown = path.display();
                out.line(&format!("Issue {} is in {shown}.", certificate.issue));
            }
            None if out.is_json() => out.document(&document(&certificate)),
            None => out.raw(&certificate.document),
        }
        Ok(())
    }
}

/// A certificate for programs.
pub fn document(certificate: &pb::Certificate) -> Json {
    json!({
        "name": certificate.name,
        "issue": certificate.issue,
        "level": certificate.level().as_str_name().trim_start_matches("ERASURE_LEVEL_"),
        "document": certificate.document,
    })
}

impl Key {
    fn run(self) -> Done {
        let config = Config::load(&self.dir.join(super::init::CONFIG))?;
        let key = crate::serve::vault_key(&config)?;
        Out::new(false).line(&key.public().to_string());
        Ok(())
    }
}
