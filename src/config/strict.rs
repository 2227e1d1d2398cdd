//! Reads a TOML file strictly. What is wrong is said with file, line, column
//! and key, and never with the line itself or a value: it may be a secret that
//! somebody put where it does not belong.

use crate::error::{Error, Result};
use crate::limits;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads and parses `path`; at most [`limits::CONFIG_FILE_BYTES`].
///
/// # Errors
/// [`Error::Setup`], as above.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse(path, &text(path)?)
}

fn text(path: &Path) -> Result<String> {
    let refused = |why: &str| Error::Setup(format!("{} {why}", path.display()));
    let file = File::open(path).map_err(|why| {
        let why = format!(
            "cannot be opened: {}; give the path of a file that is there \
             (oubliette init makes one)",
            why.kind()
        );
        refused(&why)
    })?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(limits::CONFIG_FILE_BYTES).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|why| refused(&format!("cannot be read: {}", why.kind())))?;
    if bytes.len() > limits::CONFIG_FILE_BYTES {
        return Err(refused("is larger than 1 MiB; it cannot be what was meant"));
    }
    String::from_utf8(bytes).map_err(|_| refused("is not UTF-8; save it as UTF-8 text"))
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|why| {
        let start = why.span().map_or(0, |span| span.start);
        let (line, column, before) = position(text, start);
        let what = explain(why.message(), key(before));
        Error::Setup(format!("{}:{line}:{column}: {what}", path.display()))
    })
}

/// Line and column (from 1) of a byte offset, and the line up to there.
fn position(text: &str, offset: usize) -> (usize, usize, &str) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let lines = before.matches('\n').count().saturating_add(1);
    (lines, line.chars().count().saturating_add(1), line)
}

/// The key that stands before a value, if a key it is.
fn key(before: &str) -> Option<&str> {
    let (key, _) = before.split_once('=')?;
    let key = key.trim();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.\"".contains(&b);
    (!key.is_empty() && key.bytes().all(plain)).then_some(key)
}

/// serde's message, without any value that it quotes.
fn explain(message: &str, key: Option<&str>) -> String {
    let message = message.lines().next().unwrap_or_default();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return format!("unknown key {rest}; correct its name or take it out");
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return format!("the key {rest} is missing; add it");
    }
    if message.starts_with("duplicate key") {
        return "a key stands here for the second time; keep one of the two".to_owned();
    }
    let quotes_a_value = [
        "invalid type",
        "invalid value",
        "invalid length",
        "unknown variant",
    ];
    if quotes_a_value
        .iter()
        .any(|start| message.starts_with(start))
    {
        let key = key.unwrap_or("a value");
        // The last one: a value may itself contain the word.
        return match message.rsplit_once(", expected ") {
            Some((_, expected)) => format!("{key} must be {expected}"),
            None => format!("{key} has the wrong type or value"),
        };
    }
    match key {
        Some(key) => format!("{key} has no usable value; see the comments of the file init makes"),
        None => "this is not well-formed TOML; see https://toml.io".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        port: u16,
        mode: Option<Mode>,
        address: Option<std::net::SocketAddr>,
    }

    #[derive(Deserialize, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Fast,
        Slow,
    }

    fn refusal(text: &str) -> String {
        let refused = parse::<Sample>(Path::new("a.toml"), text);
        refused.err().unwrap().to_string()
    }

    #[test]
    fn what_is_wrong_is_said_by_place_and_key() {
        assert_eq!(
            refusal("port = 1\nprot = 2\n"),
            "a.toml:2:1: unknown key `prot`, expected one of `port`, `mode`, `address`; \
             correct its name or take it out"
        );
        assert_eq!(
            refusal("mode = \"fast\"\n"),
            "a.toml:1:1: the key `port` is missing; add it"
        );
        assert_eq!(refusal("port = -1\n"), "a.toml:1:8: port must be u16");
        assert_eq!(
            refusal("port = 1\nmode = \"quick\"\n"),
            "a.toml:2:8: mode must be `fast` or `slow`"
        );
        assert!(refusal("port = 1\nport = 2\n").contains("second time"));
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_never_echoed() {
        for text in [
            "port = \"hunter2\"",
            "port = \"x, expected hunter2\"",
            "port = hunter2",
            "port = 1\nmode = \"hunter2\"",
            "port = 1\naddress = \"hunter2\"",
            "port = 1\nmode = [\"hunter2\"]",
            "hunter2",
            "port = 1 hunter2",
            "port = \"\"\"hunter2",
            "port = 1\n[hunter2",
            "hunter2 hunter2 = 1",
        ] {
            assert!(
                !refusal(text).contains("hunter2"),
                "{text}: {}",
                refusal(text)
            );
        }
    }

    #[test]
    fn a_file_that_is_not_text_or_too_large_or_missing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        let refusal = || read::<Sample>(&file).err().unwrap().to_string();
        assert!(refusal().contains("cannot be opened"));
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(refusal().contains("UTF-8"));
        std::fs::write(&file, vec![b'#'; limits::CONFIG_FILE_BYTES + 1]).unwrap();
        assert!(refusal().contains("larger than 1 MiB"));
    }
}
