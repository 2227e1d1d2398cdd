//! Signed texts: C2SP signed-note (c2sp.org/signed-note) with one signature.

use super::signing::{PublicKey, SigningKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Signs a text; every line of it ends with a newline, and none is empty.
pub fn sign(text: &str, key: &SigningKey) -> String {
    let signature = key.sign(text.as_bytes());
    written(text, key.public(), &signature)
}

fn written(text: &str, key: &PublicKey, signature: &[u8]) -> String {
    let line = BASE64_STANDARD.encode([&key.id()[..], signature].concat());
    format!("{text}\n\u{2014} {} {line}\n", key.name())
}

/// The text of a note that `key` signed; `None` for any other bytes. A note has
/// one form only, so that not one bit of it can be another.
pub fn open<'a>(note: &'a str, key: &PublicKey) -> Option<&'a str> {
    let (text, _) = note.rsplit_once("\n\n")?;
    let text = note.get(..=text.len())?;
    let line = note.get(text.len()..)?.trim_ascii();
    let (_, line) = line.rsplit_once(' ')?;
    let bytes = BASE64_STANDARD.decode(line).ok()?;
    let (_, signature) = bytes.split_first_chunk::<4>()?;
    let is_whole = written(text, key, signature) == note;
    let is_signed = key.verify(text.as_bytes(), signature).is_ok();
    (is_whole && is_signed).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_with_any_bit_flipped_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        SigningKey::create(&path).unwrap();
        let key = SigningKey::load(&path, "crm/vault".to_owned()).unwrap();
        let note = sign("{\n  \"a\": 1\n}\n", &key);
        assert_eq!(open(&note, key.public()), Some("{\n  \"a\": 1\n}\n"));
        for bit in 0..note.len() * 8 {
            let mut flipped = note.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened = String::from_utf8(flipped);
            assert!(opened.is_err() || open(&opened.unwrap(), key.public()).is_none());
        }
        for other in [
            "",
            "\n",
            "\n\n",
            "a\n\nb",
            &format!("{note}\n"),
            note.get(1..).unwrap(),
        ] {
            assert_eq!(open(other, key.public()), None);
        }
    }
}
