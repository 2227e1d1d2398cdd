//! `audit verify`: checks what an export or a proof says, offline.

use super::super::out::{Out, note, printable};
use super::super::progress::Progress;
use super::super::stop::{Done, Stop};
use super::super::value::{micros_text, seconds_text};
use super::{config_of, read_text};
use crate::audit::cosignature::WitnessKey;
use crate::audit::proof;
use crate::audit::verify::{Known, Report, verify};
use crate::keys::signing::PublicKey;
use crate::serve::open_rows;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `audit verify`.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["tiles", "proof"])))]
pub struct Verify {
    /// An export (C2SP tlog-tiles)
    #[arg(long, value_name = "DIR")]
    tiles: Option<PathBuf>,
    /// A proof of one entry (C2SP tlog-proof)
    #[arg(long, value_name = "FILE", requires = "key")]
    proof: Option<PathBuf>,
    /// The log's public key: a file or the text itself (C2SP signed-note).
    /// Without it the export's own is taken, which proves nothing of whose it is
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A checkpoint that was kept outside the vault; may be given again
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    checkpoint: Vec<PathBuf>,
    /// The public key of a witness: a file or the text itself (C2SP
    /// tlog-cosignature). What it cosigned counts as kept outside; may be given
    /// again
    #[arg(long, value_name = "KEY", conflicts_with = "proof")]
    witness: Vec<String>,
    /// How many of the witnesses must have cosigned; without it all of them
    #[arg(long, value_name = "COUNT", requires = "witness", value_parser = clap::value_parser!(u16).range(1..))]
    quorum: Option<u16>,
    /// Exit with 2 where no checkpoint from outside covers the end
    #[arg(long, conflicts_with = "proof")]
    require_anchor: bool,
    /// Also hold the log against the keys of this vault
    #[arg(long, value_name = "DIR", conflicts_with = "proof")]
    dir: Option<PathBuf>,
    /// Answer with one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

impl Verify {
    /// Checks it and says what it came to.
    pub fn run(self) -> Done {
        let key = self.key.as_deref();
        let key = key.map(|key| given(key, PublicKey::parse, LOG_KEY));
        let key = key.transpose()?;
        match (&self.tiles, &self.proof, &key) {
            (Some(_), ..) => self.export(key),
            (None, Some(path), Some(key)) => self.proof(&read_text(path)?, key),
            _ => Err(Stop::Usage("--proof needs --key".to_owned())),
        }
    }

    fn proof(&self, text: &str, key: &PublicKey) -> Done {
        let proven = proof::check(text, key)
            .map_err(|why| Stop::Failed(format!("refused: the proof {why}")))?;
        let entry = String::from_utf8_lossy(&proven.entry);
        let mut out = Out::new(self.json);
        out.document(&json!({
            "origin": proven.head.origin,
            "number": proven.number,
            "size": proven.head.size,
            "entry": serde_json::from_slice::<serde_json::Value>(&proven.entry).ok(),
        }));
        out.line(&format!(
            "verified: entry {} of {} in the log {}\n{}",
            proven.number,
            proven.head.size,
            proven.head.origin,
            printable(&entry)
        ));
        Ok(())
    }

    fn export(&self, key: Option<PublicKey>) -> Done {
        let mut known = Known {
            key,
            ..Known::default()
        };
        for witness in &self.witness {
            let witness = given(witness, WitnessKey::parse, WITNESS_KEY)?;
            if known.witnesses.contains(&witness) {
                return Err(Stop::Usage("one witness is given twice".to_owned()));
            }
            known.witnesses.push(witness);
        }
        known.quorum = self.quorum.unwrap_or_default().into();
        for path in &self.checkpoint {
            known.outside.push(read_text(path)?);
        }
        let dir = self.tiles.clone().unwrap_or_default();
        let mut shown: Option<Progress> = None;
        let mut report = verify(&dir, &known, |done, of| {
            let shown = shown.get_or_insert_with(|| Progress::start("verify", of));
            shown.set(done, &format!("{done} of {of} entries"));
        })?;
        drop(shown);
        if let Some(dir) = &self.dir {
            report.hold_against_vault(&mut open_rows(&config_of(dir)?)?)?;
        }
        self.tell(&report);
        let findings = report.findings();
        if !findings.is_empty() {
            let findings = findings.join("\n         ");
            let refused = format!("refused: {findings}");
            if self.json {
                note(&refused);
                return Err(Stop::Told);
            }
            return Err(Stop::Failed(refused));
        }
        if self.require_anchor && report.unproven() > 0 {
            return Err(Stop::Unproven(unproven(&report)));
        }
        Ok(())
    }

    fn tell(&self, report: &Report) {
        let findings = report.findings();
        let mut out = Out::new(self.json);
        out.document(&json!({
            "verified": findings.is_empty(),
            "findings": findings,
            "origin": report.head.origin,
            "key": report.key.to_string(),
            "key_from_export": report.is_own_key,
            "entries": report.head.size,
            "root": hex::encode(report.head.root),
            "proven_from_outside": report.proven,
            "tail_unproven": report.unproven(),
            "witnessed": report.witnessed.as_ref().map(|of| json!({
                "entries": of.size,
                "by": of.by.iter().map(|(name, time)| json!({"name": name, "time": time})).collect::<Vec<_>>(),
            })),
            "pruned": report.pruned.as_ref().map(|of| json!({
                "entries": of.entries,
                "complete_from": micros_text(of.until.saturating_add(1)),
                "kept": of.kept,
                "missing": of.missing,
            })),
            "verdicts": report.verdicts,
            "starts": report.starts,
            "calls_unwritten": report.unwritten,
            "calls_cut_off": report.cut_off,
            "keys_destroyed": report.shredded.len(),
            "epochs_closed": report.closed.len(),
        }));
        if !findings.is_empty() {
            return;
        }
        let mut rows = vec![
            vec!["entries".to_owned(), report.head.size.to_string()],
            vec!["starts of the server".to_owned(), report.starts.to_string()],
            vec![
                "keys destroyed".to_owned(),
                report.shredded.len().to_string(),
            ],
            vec!["epochs closed".to_owned(), report.closed.len().to_string()],
            vec!["calls not written".to_owned(), report.unwritten.to_string()],
            vec!["calls cut off".to_owned(), report.cut_off.to_string()],
        ];
        let verdicts = report.verdicts.iter();
        rows.extend(verdicts.map(|(verdict, count)| vec![printable(verdict), count.to_string()]));
        out.table(&[&printable(&report.head.origin), "count"], &rows);
        if report.is_own_key {
            out.line(&format!(
                "The key is the export's own, which proves nothing of whose log it is; compare it, \
                 or give the one you know with --key:\n  {}",
                report.key
            ));
        }
        for (name, time) in report.witnessed.iter().flat_map(|of| &of.by) {
            let size = report.witnessed.as_ref().map_or(0, |of| of.size);
            let time = i64::try_from(*time).map_or_else(|_| String::new(), seconds_text);
            let name = printable(name);
            out.line(&format!(
                "{name} cosigned the first {size} entries at {time}"
            ));
        }
        if let Some(of) = &report.pruned {
            let since = micros_text(of.until.saturating_add(1));
            out.line(&format!(
                "The first {} entries were pruned, as an entry says, but for {} that stay: the \
                 log is complete from {since} on. {} of them are not in this export",
                of.entries, of.kept, of.missing
            ));
        }
        let end = if report.unproven() > 0 {
            format!("verified, {}", unproven(report))
        } else {
            "verified to the end by a checkpoint from outside".to_owned()
        };
        out.line(&end);
    }
}

fn unproven(report: &Report) -> String {
    format!(
        "tail unproven: no checkpoint from outside covers the last {} of {} entries, so that who \
         holds the log's key could have written them anew; keep checkpoints elsewhere, and give \
         one with --checkpoint, or the key of a witness with --witness",
        report.unproven(),
        report.head.size
    )
}

const LOG_KEY: &str = "a public key (C2SP signed-note: name+id+key); an export has one in log.vkey";
const WITNESS_KEY: &str = "a witness's public key (C2SP tlog-cosignature, Ed25519: name+id+key); \
                           `oubliette witness` prints its own";

/// A public key, or the file that holds one.
fn given<K>(given: &str, parse: fn(&str) -> Option<K>, what: &str) -> Done<K> {
    if let Some(key) = parse(given) {
        return Ok(key);
    }
    let text = read_text(&PathBuf::from(given))?;
    parse(&text).ok_or_else(|| Stop::Failed(format!("{given} is not {what}")))
}
