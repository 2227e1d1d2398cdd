//! What a witness says of a checkpoint: that at a time it was the largest
//! consistent head that the witness had seen of this log
//! (c2sp.org/tlog-cosignature, Ed25519: "cosignature/v1").

use super::checkpoint::Note;
use crate::keys::signing::{COSIGNATURE, PublicKey, SigningKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;

/// The public key of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey(PublicKey);

impl WitnessKey {
    /// The public half of a witness's key.
    pub fn of(key: &SigningKey) -> Self {
        Self(key.public().clone())
    }

    /// Reads what [`fmt::Display`] writes (C2SP signed-note, type 0x04).
    pub fn parse(text: &str) -> Option<Self> {
        PublicKey::parse_as(COSIGNATURE, text).map(Self)
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// When this witness cosigned a note, in seconds since 1970: the newest
    /// time. Nothing where it did not; a cosignature that is not the witness's
    /// own is none.
    pub fn cosigned(&self, note: &Note<'_>) -> Option<u64> {
        let id = self.0.id_as(COSIGNATURE);
        let signatures = note.signatures_of(self.name(), id);
        let times = signatures.filter_map(|bytes| {
            let (time, signature) = bytes.split_first_chunk()?;
            let time = u64::from_be_bytes(*time);
            let message = message(time, note.text());
            self.0.verify(message.as_bytes(), signature).ok()?;
            Some(time)
        });
        times.max()
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text_as(COSIGNATURE))
    }
}

fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// Cosigns a checkpoint's text at `time`, in seconds since 1970: the line that
/// is appended to its note.
pub fn cosign(key: &SigningKey, text: &str, time: u64) -> String {
    let mut bytes = key.public().id_as(COSIGNATURE).to_vec();
    bytes.extend(time.to_be_bytes());
    bytes.extend(key.sign(message(time, text).as_bytes()));
    let signature = BASE64_STANDARD.encode(bytes);
    format!("\u{2014} {} {signature}\n", key.public().name())
}

#[cfg(test)]
mod tests {
    use super::super::anchor::tree::key;
    use super::super::checkpoint::Checkpoint;
    use super::*;

    #[test]
    fn a_cosignature_counts_for_its_witness_and_its_checkpoint_alone() {
        let (log, witness, other) = (key("a.example"), key("w.example"), key("w.example"));
        let head = |size| Checkpoint {
            origin: "a.example".to_owned(),
            size,
            root: [7; 32],
        };
        let note = head(9).sign(&log);
        let line = cosign(&witness, &head(9).text(), 1_679_315_147);
        let both = format!("{note}{line}");
        let public = WitnessKey::of(&witness);
        let cosigned = |note: &str| public.cosigned(&Note::parse(note).unwrap());
        assert_eq!(cosigned(&both), Some(1_679_315_147));
        assert_eq!(cosigned(&note), None);
        assert_eq!(cosigned(&format!("{}{line}", head(10).sign(&log))), None);
        let stranger = WitnessKey::of(&other);
        assert_eq!(stranger.cosigned(&Note::parse(&both).unwrap()), None);
        assert_eq!(Checkpoint::open(&both, log.public()), Ok(head(9)));
        assert_eq!(WitnessKey::parse(&public.to_string()), Some(public.clone()));
        assert_eq!(WitnessKey::parse(&log.public().to_string()), None);
    }
}
