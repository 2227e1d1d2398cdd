//! `oubliette seal`, `unseal`, `seal-status`: lets go of the keys, and opens
//! them again.

use super::caller::Caller;
use super::out::note;
use super::secret::{Asked, ask, lines_of};
use super::stop::{Done, Stop};
use crate::client::Client;
use crate::pb;
use crate::secret::SecretText;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `seal`.
#[derive(Args, Debug)]
pub struct Seal {
    #[command(flatten)]
    pub(super) caller: Caller,
}

/// Arguments of `seal-status`.
#[derive(Args, Debug)]
pub struct SealStatus {
    #[command(flatten)]
    pub(super) caller: Caller,
}

/// Arguments of `unseal`.
#[derive(Args, Debug)]
pub struct Unseal {
    #[command(flatten)]
    pub(super) caller: Caller,
    /// Read the passphrase, or the shares one a line, from this file ("-":
    /// stdin) instead of asking for them
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Seal {
    /// Seals.
    pub async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let reply = client.seal(pb::SealRequest {}).await?;
        tell(&self.caller, reply.status);
        Ok(())
    }
}

impl SealStatus {
    /// Asks.
    pub async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let reply = client.get_seal_status(pb::GetSealStatusRequest {}).await?;
        tell(&self.caller, reply.status);
        Ok(())
    }
}

impl Unseal {
    /// Gives what the lock needs, piece by piece, until the vault is unsealed
    /// or there is nothing more to give.
    pub async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let mut pieces = match &self.file {
            Some(file) => Some(lines_of(file)?.into_iter()),
            None => None,
        };
        let asked = client.get_seal_status(pb::GetSealStatusRequest {}).await?;
        let mut status = asked.status.unwrap_or_default();
        while status.sealed {
            let piece = match (status.waits_for(), &mut pieces) {
                (pb::LockHolder::Unspecified, _) => SecretText::new(String::new()),
                (_, Some(pieces)) => match pieces.next() {
                    Some(piece) => piece,
                    None => break,
                },
                (holder, None) => ask(&prompt(holder, &status), Asked::Once)?,
            };
            status = give(&client, &piece).await?;
        }
        let is_sealed = status.sealed;
        tell(&self.caller, Some(status));
        if is_sealed { Err(Stop::Told) } else { Ok(()) }
    }
}

fn prompt(holder: pb::LockHolder, status: &pb::SealStatus) -> String {
    match holder {
        pb::LockHolder::Shares => {
            format!(
                "Share {} of {}: ",
                status.given.saturating_add(1),
                status.needed
            )
        }
        _ => "Passphrase: ".to_owned(),
    }
}

/// One piece. A share that was mistyped costs nothing: it is asked for again.
async fn give(client: &Client, piece: &SecretText) -> Done<pb::SealStatus> {
    let asked = pb::UnsealRequest {
        piece: piece.expose().to_owned(),
    };
    match client.unseal(asked).await {
        Ok(reply) => Ok(reply.status.unwrap_or_default()),
        Err(failure) if failure.is("NOT_A_SHARE") => {
            note(&failure.message);
            let asked = client.get_seal_status(pb::GetSealStatusRequest {}).await?;
            Ok(asked.status.unwrap_or_default())
        }
        Err(failure) => Err(failure.into()),
    }
}

fn tell(caller: &Caller, status: Option<pb::SealStatus>) {
    let mut out = caller.out();
    let status = status.unwrap_or_default();
    let why = match status.reason() {
        pb::SealReason::Unspecified => "",
        pb::SealReason::Started => "started",
        pb::SealReason::ByHand => "by-hand",
        pb::SealReason::KeyProvider => "key-provider",
    };
    let holder = match status.waits_for() {
        pb::LockHolder::Unspecified => "",
        pb::LockHolder::Passphrase => "passphrase",
        pb::LockHolder::Shares => "shares",
    };
    let silent: Vec<&str> = status
        .providers
        .iter()
        .filter(|provider| !provider.answers)
        .map(|provider| provider.kind.as_str())
        .collect();
    out.document(&json!({
        "sealed": status.sealed,
        "reason": why,
        "waits_for": holder,
        "given": status.given,
        "needed": status.needed,
        "providers": status.providers.iter().map(|p| json!({
            "kind": p.kind, "answers": p.answers,
        })).collect::<Vec<_>>(),
    }));
    for kind in silent {
        out.line(&format!("The key provider {kind} does not answer."));
    }
    let next = format!("Next: oubliette unseal{}", caller.as_typed());
    out.line(&match (status.sealed, holder) {
        (false, _) => "The vault is unsealed.".to_owned(),
        (true, "") => format!("The vault is sealed. {next}"),
        (true, "passphrase") => {
            format!("The vault is sealed and waits for its passphrase. {next}")
        }
        (true, _) => format!(
            "The vault is sealed; {} of {} shares are given. {next}",
            status.given, status.needed
        ),
    });
}
