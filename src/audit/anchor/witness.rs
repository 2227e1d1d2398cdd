//! A witness elsewhere, asked over HTTP (c2sp.org/tlog-witness): it remembers
//! the newest head that it saw of this log, and cosigns one that continues it.

use super::{Anchor, Held, Shown, Slipped, rolled_back, written_anew};
use crate::audit::checkpoint::Note;
use crate::audit::cosignature::WitnessKey;
use crate::audit::merkle::Hash;
use crate::error::Result;
use crate::keys::authorities;
use crate::limits;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use ureq::Agent;
use ureq::tls::TlsConfig;

/// Where a witness is, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The prefix that `/add-checkpoint` is appended to.
    pub url: String,
    /// Its key: an answer counts for its signature, whoever brings it.
    pub key: WitnessKey,
    /// The authorities of its certificate, PEM; where `url` is https.
    pub ca: Option<PathBuf>,
}

/// A witness as the vault sees it.
pub struct WitnessClient {
    address: Address,
    agent: Agent,
    /// How many entries it has cosigned, as it said last.
    seen: u64,
}

/// What a witness answered.
enum Answer {
    Cosigned(String),
    /// It has cosigned so many entries.
    Conflict(u64),
    Unproven,
    Other(u16),
}

impl WitnessClient {
    /// A witness, which is asked when it is first needed.
    ///
    /// # Errors
    /// [`crate::error::Error::Setup`] where its authorities cannot be read.
    pub fn new(address: Address) -> Result<Self> {
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = TlsConfig::builder().unversioned_rustls_crypto_provider(crypto);
        if let Some(ca) = &address.ca {
            tls = tls.root_certs(authorities(ca)?);
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(limits::WITNESS_TIME))
            .build();
        Ok(Self {
            address,
            agent: config.new_agent(),
            seen: 0,
        })
    }

    fn unreachable(&self, why: impl std::fmt::Display) -> Slipped {
        let name = self.address.key.name();
        Slipped::Unreachable(format!("the witness {name} {why}"))
    }

    fn ask(&self, old: u64, proof: &[Hash], note: &str) -> std::result::Result<Answer, Slipped> {
        let mut body = format!("old {old}\n");
        for hash in proof {
            let hash = BASE64_STANDARD.encode(hash);
            // Writing to a text cannot fail.
            let _ = writeln!(body, "{hash}");
        }
        body.push('\n');
        body.push_str(note);
        let url = format!("{}/add-checkpoint", self.address.url);
        let asked = self.agent.post(url).send(body);
        let mut response = asked.map_err(|_| self.unreachable("does not answer in time"))?;
        let status = response.status().as_u16();
        let is_size = response.headers().get("content-type");
        let is_size = is_size.is_some_and(|kind| kind == "text/x.tlog.size");
        let read = response.body_mut().with_config();
        let text = read.limit(limits::NOTE_BYTES as u64).read_to_string();
        let text = text.map_err(|_| self.unreachable("answers what is no text, or too much"))?;
        match status {
            200 => Ok(Answer::Cosigned(text)),
            409 if is_size => {
                let size = text.strip_suffix('\n').and_then(|size| size.parse().ok());
                let size = size.ok_or_else(|| self.unreachable("names no size that it has seen"));
                size.map(Answer::Conflict)
            }
            // Other witnesses may say so without a size where roots differ.
            409 => Ok(Answer::Conflict(old)),
            422 => Ok(Answer::Unproven),
            other => Ok(Answer::Other(other)),
        }
    }

    /// The line of the answer that is this witness's cosignature.
    fn line(&self, note: &str, answer: &str) -> Option<String> {
        let lines = answer.split_inclusive('\n');
        let mut genuine = lines.filter(|line| {
            let whole = format!("{note}{line}");
            Note::parse(&whole).is_some_and(|note| self.address.key.cosigned(&note).is_some())
        });
        genuine.next().map(str::to_owned)
    }
}

impl Anchor for WitnessClient {
    fn show(&mut self, log: &Shown) -> Held {
        let (name, size) = (self.address.key.name().to_owned(), log.head.size);
        let name = format!("the witness {name}");
        let mut old = self.seen.min(size);
        for _ in 0..limits::WITNESS_TRIES {
            let proof = log.past.consistency(old, size);
            let proof = proof.map_err(|_| self.unreachable("was not asked: no proof"))?;
            match self.ask(old, &proof, &log.note)? {
                Answer::Cosigned(text) => {
                    let line = self.line(&log.note, &text);
                    let line = line.ok_or_else(|| {
                        self.unreachable("answers without a cosignature of its key")
                    })?;
                    self.seen = size;
                    return Ok(Some(line));
                }
                Answer::Conflict(seen) if seen > size => {
                    return Err(rolled_back(&name, seen, size));
                }
                Answer::Conflict(seen) if seen == old && old == size => {
                    return Err(written_anew(&name, seen));
                }
                Answer::Conflict(seen) if seen == old => {
                    return Err(self.unreachable("contradicts itself"));
                }
                Answer::Conflict(seen) => old = seen,
                // The proof is right: it has another log of that size.
                Answer::Unproven if old > 0 => return Err(written_anew(&name, old)),
                Answer::Unproven => return Err(self.unreachable("refuses an empty proof")),
                Answer::Other(status) => {
                    return Err(self.unreachable(format!(
                        "answers with status {status}; 403 and 404 mean that it does not trust \
                         this log's key: give it the one in an export's log.vkey"
                    )));
                }
            }
        }
        Err(self.unreachable("names another size each time"))
    }
}
