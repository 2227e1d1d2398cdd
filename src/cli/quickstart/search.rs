//! Looks for plaintexts in every file of a directory, byte by byte: as UTF-8,
//! UTF-16 of both byte orders, and base64 at each of its three alignments.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Shorter values turn up by chance, or in a file's own words.
pub const LEAST_BYTES: usize = 9;

/// A pattern is looked up by its first bytes.
const START: usize = 6;
/// Buckets of the filter that is asked first.
const FILTER_BITS: u32 = 20;

/// What is looked for.
pub struct Needles {
    by_start: HashMap<u64, Vec<Vec<u8>>>,
    filter: Vec<bool>,
    values: usize,
}

/// What a search came to.
#[derive(Default)]
pub struct Found {
    /// Files that were read.
    pub files: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Files in which a pattern was found.
    pub hits: BTreeSet<PathBuf>,
}

impl Needles {
    /// Takes the values of at least [`LEAST_BYTES`] bytes.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let wanted: BTreeSet<&str> = values
            .into_iter()
            .filter(|value| value.len() >= LEAST_BYTES)
            .collect();
        let mut needles = Self {
            by_start: HashMap::new(),
            filter: vec![false; 1 << FILTER_BITS],
            values: wanted.len(),
        };
        for pattern in wanted.iter().flat_map(|value| patterns(value)) {
            let Some(start) = start_of(&pattern) else {
                continue;
            };
            if let Some(slot) = needles.filter.get_mut(bucket(start)) {
                *slot = true;
            }
            needles.by_start.entry(start).or_default().push(pattern);
        }
        needles
    }

    /// How many different values are looked for.
    pub fn len(&self) -> usize {
        self.values
    }

    /// Reads every file under `dir`.
    pub fn search(&self, dir: &Path) -> io::Result<Found> {
        let mut found = Found::default();
        let mut waiting = vec![dir.to_owned()];
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    waiting.push(path);
                    continue;
                }
                let content = match fs::read(&path) {
                    // A running server may remove a file between two looks.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    content => content?,
                };
                found.files += 1;
                found.bytes += content.len();
                if self.is_in(&content) {
                    found.hits.insert(path);
                }
            }
        }
        Ok(found)
    }

    /// Whether one of the values stands in `content`.
    fn is_in(&self, content: &[u8]) -> bool {
        content.windows(START).enumerate().any(|(at, window)| {
            let Some(start) = start_of(window) else {
                return false;
            };
            self.filter.get(bucket(start)).copied().unwrap_or_default()
                && self.by_start.get(&start).is_some_and(|patterns| {
                    let rest = content.get(at..).unwrap_or_default();
                    patterns.iter().any(|pattern| rest.starts_with(pattern))
                })
        })
    }
}

fn start_of(bytes: &[u8]) -> Option<u64> {
    let start: [u8; START] = *bytes.first_chunk()?;
    Some(
        start
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    )
}

/// Multiplicative hashing: the upper bits depend on every byte.
fn bucket(start: u64) -> usize {
    let mixed = start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - FILTER_BITS);
    usize::try_from(mixed).unwrap_or_default()
}

/// Every form of a value that is looked for.
fn patterns(value: &str) -> BTreeSet<Vec<u8>> {
    let mut patterns = BTreeSet::from([value.as_bytes().to_vec()]);
    patterns.insert(value.encode_utf16().flat_map(u16::to_le_bytes).collect());
    patterns.insert(value.encode_utf16().flat_map(u16::to_be_bytes).collect());
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value.as_bytes());
        // Only the characters that depend on nothing but the value.
        let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for text in [
            STANDARD_NO_PAD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            patterns.extend(text.as_bytes().get(first..last).map(<[u8]>::to_vec));
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "Łukasiewicz+1";

    fn finds(content: &[u8]) -> bool {
        Needles::new([VALUE, "another value"]).is_in(content)
    }

    #[test]
    fn a_value_is_found_in_every_form_and_at_every_place() {
        for before in 0..7 {
            let mut bytes = vec![b'x'; before];
            bytes.extend_from_slice(VALUE.as_bytes());
            bytes.extend_from_slice(b"yz");
            assert!(finds(&bytes));
            assert!(finds(STANDARD_NO_PAD.encode(&bytes).as_bytes()));
            assert!(finds(URL_SAFE_NO_PAD.encode(&bytes).as_bytes()));
            let text = String::from_utf8(bytes).unwrap();
            let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
                text.encode_utf16().flat_map(order).collect()
            };
            assert!(finds(&wide(u16::to_le_bytes)));
            assert!(finds(&wide(u16::to_be_bytes)));
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert!(!finds(b""));
        assert!(!finds(b"Lukasiewicz+1 anothervalue"));
        assert!(!finds(&VALUE.as_bytes()[1..]));
        assert_eq!(
            Needles::new(["short", "long enough", "long enough"]).len(),
            1
        );
    }

    #[test]
    fn every_file_of_a_directory_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("bad"), format!("..{VALUE}..")).unwrap();
        fs::write(dir.path().join("good"), "nothing").unwrap();
        let found = Needles::new([VALUE]).search(dir.path()).unwrap();
        assert_eq!(found.files, 2);
        assert_eq!(found.hits, BTreeSet::from([deep.join("bad")]));
    }
}
