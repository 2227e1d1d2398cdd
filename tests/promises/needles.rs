//! Looks for byte strings in every file of a directory.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

const START: usize = 8;

/// What is looked for.
#[derive(Default)]
pub struct Needles {
    by_start: HashMap<[u8; START], Vec<(Vec<u8>, String)>>,
    filter: Vec<bool>,
    count: usize,
}

fn slot(start: &[u8; START]) -> usize {
    let mixed = u64::from_le_bytes(*start).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 44).expect("20 bits")
}

impl Needles {
    /// Looks for exactly these bytes, at least eight; `what` says what they
    /// are.
    pub fn add(&mut self, bytes: &[u8], what: &str) {
        let Some(start) = bytes.first_chunk::<START>() else {
            return;
        };
        self.filter.resize(1 << 20, false);
        self.filter[slot(start)] = true;
        let found = self.by_start.entry(*start).or_default();
        found.push((bytes.to_vec(), what.to_owned()));
        self.count += 1;
    }

    /// Looks for a text of at least nine bytes as UTF-8, UTF-16LE and base64
    /// at each of its three alignments.
    pub fn add_text(&mut self, text: &str) {
        if text.len() < 9 {
            return;
        }
        self.add(text.as_bytes(), text);
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.add(&wide, text);
        for before in 0..3 {
            let mut bytes = vec![0; before];
            bytes.extend(text.as_bytes());
            // Only the characters that depend on nothing but the text.
            let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            self.add(
                &STANDARD_NO_PAD.encode(&bytes).as_bytes()[first..last],
                text,
            );
        }
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// What of it stands in `content`.
    pub fn in_bytes(&self, content: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        if self.count == 0 {
            return found;
        }
        for (at, start) in content.windows(START).enumerate() {
            let start: &[u8; START] = start.first_chunk().expect("its length");
            if !self.filter[slot(start)] {
                continue;
            }
            for (pattern, what) in self.by_start.get(start).into_iter().flatten() {
                if content[at..].starts_with(pattern) {
                    found.insert(what.as_str());
                }
            }
        }
        found
    }

    /// What of it stands in a file under `dir`, with the file's name; and how
    /// many bytes were searched.
    pub fn in_dir(&self, dir: &Path) -> (BTreeSet<(String, String)>, usize) {
        let (mut found, mut bytes, mut waiting) = (BTreeSet::new(), 0, vec![dir.to_owned()]);
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(&dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    waiting.push(path);
                    continue;
                }
                // A running server may remove a file between two looks.
                let Ok(content) = fs::read(&path) else {
                    continue;
                };
                bytes += content.len();
                let file = path.file_name().expect("a name").to_string_lossy();
                for what in self.in_bytes(&content) {
                    found.insert((file.to_string(), what.to_owned()));
                }
            }
        }
        (found, bytes)
    }
}

#[test]
fn a_needle_is_found_in_every_form_and_only_where_it_is() {
    let mut needles = Needles::default();
    needles.add_text("Łukasiewicz");
    needles.add(&[7; 40], "a key");
    assert!(needles.in_bytes(b"Lukasiewicz and others").is_empty());
    for before in 0..4 {
        let mut bytes = vec![b'x'; before];
        bytes.extend("Łukasiewicz".as_bytes());
        bytes.extend(b"yz");
        let text = STANDARD_NO_PAD.encode(&bytes);
        assert_eq!(needles.in_bytes(&bytes).len(), 1);
        assert_eq!(needles.in_bytes(text.as_bytes()).len(), 1);
    }
    assert!(needles.in_bytes(&[7; 39]).is_empty());
    assert!(needles.in_bytes(&[7; 41]).contains("a key"));
}
