//! `oubliette witness`: remembers the newest heads of others' audit logs, and
//! cosigns what continues them.

use super::child::READY;
use super::out::{Out, note};
use super::serve::{end_with_stdin, runtime};
use super::stop::{Done, Stop};
use crate::audit::cosignature::WitnessKey;
use crate::serve::witness::{
    WITNESS_CONFIG, WitnessConfig, found_witness, name, witness, witness_key,
};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `witness`.
#[derive(Args, Debug)]
pub struct Witness {
    /// The witness's directory: its key, whom it trusts, what it remembers
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen: HTTP without TLS; port 0: any
    #[arg(long, value_name = "ADDRESS", required_unless_present = "found")]
    listen: Option<SocketAddr>,
    /// Make the directory of a new witness of this name, such as
    /// witness.example/w1, and print its public key; nothing is served yet
    #[arg(long, value_name = "NAME")]
    found: Option<String>,
    /// End when stdin is closed: for a parent that starts a witness
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Witness {
    /// Runs until a signal ends it.
    pub fn run(self) -> Done {
        let listen = match (&self.found, self.listen) {
            (Some(of), _) => return self.make(of),
            (None, Some(listen)) => listen,
            (None, None) => return Err(Stop::Usage("--listen is missing".to_owned())),
        };
        if !self.dir.join(WITNESS_CONFIG).exists() {
            return Err(Stop::Failed(format!(
                "there is no witness in {}; make one with --found NAME",
                self.dir.display()
            )));
        }
        if self.until_stdin_closes {
            end_with_stdin();
        }
        let config = WitnessConfig::load(&self.dir)?;
        if config.logs.is_empty() {
            note("no log is trusted yet: put the keys of some into witness.toml");
        }
        let key = witness_key(&self.dir, config.name)?;
        note(&format!("the witness {}", WitnessKey::of(&key)));
        let ready = |address| Out::new(false).line(&format!("{READY}{address}"));
        runtime()?.block_on(async { Ok(witness(&self.dir, listen, ready).await?) })
    }

    fn make(&self, of: &str) -> Done {
        let of = name(of)
            .ok_or_else(|| Stop::Usage("--found takes a name without spaces and +".to_owned()))?;
        if self.dir.join(WITNESS_CONFIG).exists() {
            let dir = self.dir.display();
            return Err(Stop::Failed(format!("there is a witness in {dir} already")));
        }
        found_witness(&self.dir, &of)?;
        let key = WitnessKey::of(&witness_key(&self.dir, of)?);
        Out::new(false).line(&key.to_string());
        note("Next: put the keys of logs into witness.toml, and start it without --found");
        Ok(())
    }
}
