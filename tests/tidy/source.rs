//! Rust files taken apart just enough for the rules: code without comments and
//! text, and the text literals by themselves.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One file under `src/`.
pub struct Source {
    /// The path in the repository.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// The file with comments and the insides of literals blanked out; lines
    /// stay where they are.
    pub code: String,
    /// The insides of text literals, each with its line.
    pub literals: Vec<(usize, String)>,
}

impl Source {
    /// The module below the crate's root that the file belongs to.
    pub fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").expect("a file under src");
        inside.split(['/', '.']).next().expect("a name")
    }

    /// How many modules deep the file is: 1 for `src/x.rs` and `src/x/mod.rs`.
    pub fn depth(&self) -> usize {
        let parts = self.path.matches('/').count();
        if self.path.ends_with("/mod.rs") {
            parts - 1
        } else {
            parts
        }
    }

    /// The lines of code (from 1) in which the whole word stands.
    pub fn lines_with(&self, word: &str) -> Vec<usize> {
        self.code
            .lines()
            .enumerate()
            .filter(|(_, line)| has_word(line, word))
            .map(|(index, _)| index + 1)
            .collect()
    }
}

/// Every Rust file under `src/`.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found.sort();
    assert!(found.len() > 15, "src/ was found");
    found.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a readable file");
    let (code, literals) = take_apart(&text);
    let path = path.strip_prefix(root()).expect("inside the repository");
    Source {
        path: path.to_str().expect("UTF-8").to_owned(),
        text,
        code,
        literals,
    }
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Whether `word` stands in `line` with no letter, digit or `_` around it.
pub fn has_word(line: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(inside)
            && !line[at + word.len()..].chars().next().is_some_and(inside)
    })
}

/// Blanks comments and literals out of Rust source, and lists the literals.
fn take_apart(text: &str) -> (String, Vec<(usize, String)>) {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut literals = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let end = token_end(&chars, at);
        let token: String = chars[at..end].iter().collect();
        let is_comment = token.starts_with('/');
        let is_text = !is_comment && token.ends_with(['"', '#']);
        if end == at + 1 {
            code.push(chars[at]);
        } else if is_comment || is_text || token.ends_with('\'') {
            if is_text {
                literals.push((code.matches('\n').count() + 1, token.clone()));
            }
            code.extend(token.chars().map(|c| if c == '\n' { c } else { ' ' }));
        } else {
            code.push_str(&token);
        }
        at = end;
    }
    (code, literals)
}

/// Where the comment, literal or word that begins at `at` ends; one character
/// for anything else.
fn token_end(chars: &[char], at: usize) -> usize {
    let ahead = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    match (ahead(0), ahead(1)) {
        ('/', '/') => find(chars, at, |rest| rest[0] == '\n', 0),
        ('/', '*') => block_comment_end(chars, at),
        ('"', _) => quoted_end(chars, at + 1, '"'),
        // A lifetime is not a literal.
        ('\'', c) if c == '\\' || ahead(2) == '\'' => quoted_end(chars, at + 1, '\''),
        (c, _) if c.is_alphabetic() || c == '_' => word_end(chars, at),
        _ => at + 1,
    }
}

/// A word; with its text where it is the prefix of a literal (r, b, br, c).
fn word_end(chars: &[char], at: usize) -> usize {
    let end = find(
        chars,
        at,
        |rest| !rest[0].is_alphanumeric() && rest[0] != '_',
        0,
    );
    let word: String = chars[at..end].iter().collect();
    let next = chars.get(end).copied().unwrap_or('\0');
    match word.as_str() {
        "b" | "c" if next == '"' => quoted_end(chars, end + 1, '"'),
        "b" if next == '\'' => quoted_end(chars, end + 1, '\''),
        "r" | "br" | "cr" if next == '"' || next == '#' => {
            let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
            if chars.get(end + hashes) != Some(&'"') {
                return end;
            }
            let close = |rest: &[char]| {
                rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|c| *c == '#')
            };
            find(chars, end + hashes + 1, close, hashes + 1)
        }
        _ => end,
    }
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (0_usize, at);
    while end < chars.len() {
        match (chars[end], chars.get(end + 1)) {
            ('/', Some('*')) => (depth, end) = (depth + 1, end + 2),
            ('*', Some('/')) => (depth, end) = (depth - 1, end + 2),
            _ => end += 1,
        }
        if depth == 0 {
            break;
        }
    }
    end
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut end = at;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    chars.len().min(end + 1)
}

/// The first place from `at` where `stop` holds, plus `beyond`.
fn find(chars: &[char], at: usize, stop: impl Fn(&[char]) -> bool, beyond: usize) -> usize {
    (at..chars.len())
        .find(|place| stop(&chars[*place..]))
        .map_or(chars.len(), |place| place + beyond)
}

#[test]
fn source_is_taken_apart_as_rust_reads_it() {
    let text = concat!(
        "let a = \"DROP \\\" it\"; // \"no\"\n",
        "let b = r#\"raw \" text\"#; /* /* x */ \"no\" */ call('\"');\n",
        "fn f<'a>(x: &'a str) { b\"bytes\" }\n",
    );
    let (code, literals) = take_apart(text);
    let found: Vec<_> = literals
        .iter()
        .map(|(line, l)| (*line, l.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (1, "\"DROP \\\" it\""),
            (2, "r#\"raw \" text\"#"),
            (3, "b\"bytes\""),
        ]
    );
    assert_eq!(code.lines().count(), 3);
    assert!(code.contains("fn f<'a>(x: &'a str)"), "{code}");
    assert!(!code.contains("no") && !code.contains('"'), "{code}");
    assert!(has_word("use tonic::Status;", "tonic") && !has_word("tonic_types::X", "tonic"));
}
