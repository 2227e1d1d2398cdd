//! A module imports only lower floors. The floors are read from the table in
//! `src/lib.rs`, so that the map and the rule are one.

use crate::none;
use crate::source::{Source, sources};
use std::collections::BTreeMap;

/// Calls between rooms of one floor that are meant: (from, to, why).
const SIDEWAYS: &[(&str, &str, &str)] = &[
    ("error", "id", "a denial names the field it is about"),
    ("id", "error", "a name that does not parse is an error"),
    ("id", "limits", "a name's length is a limit"),
    ("id", "secret", "a caller's id is kept as a secret"),
    (
        "serve",
        "config",
        "what is put together is what is configured",
    ),
    (
        "cli",
        "client",
        "the command line is the client's first user",
    ),
];

/// The generated messages are the wire's: only these rooms touch them.
const WIRE: &[&str] = &["grpc", "serve", "client", "cli"];

type Floors = BTreeMap<String, usize>;

fn library(all: &[Source]) -> &Source {
    all.iter()
        .find(|s| s.path == "src/lib.rs")
        .expect("src/lib.rs")
}

/// Rows such as "//! | 4 | [`store`], [`keys`]: rows |".
fn floors(library: &Source) -> Floors {
    let mut floors = Floors::new();
    for line in library.text.lines() {
        let mut cells = line.trim_start_matches("//! ").split('|').skip(1);
        let (Some(number), Some(rooms)) = (cells.next(), cells.next()) else {
            continue;
        };
        let Ok(number) = number.trim().parse() else {
            continue;
        };
        for room in rooms.split("[`").skip(1) {
            let name = room.split('`').next().expect("a name");
            floors.insert(name.to_owned(), number);
        }
    }
    floors
}

/// The rooms of the crate that a file's paths begin with: `crate::x`, or each
/// of `crate::{x, y::z}`.
fn called(source: &Source) -> Vec<(usize, String)> {
    let mut rooms = Vec::new();
    for (at, found) in source.code.match_indices("crate::") {
        let line = source.code[..at].matches('\n').count() + 1;
        if source.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &source.code[at + found.len()..];
        for name in first_names(rest) {
            rooms.push((line, name));
        }
    }
    rooms
}

fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*')
            .collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let (mut depth, mut names, mut start) = (0_usize, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                names.push(word(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Why `from` may not call `to`, if it may not.
fn refused(floors: &Floors, from: &str, to: &str) -> Option<String> {
    if from == to || from == "main" {
        return None;
    }
    if to == "pb" {
        return (!WIRE.contains(&from)).then(|| format!("{from} touches the wire's messages"));
    }
    if to == "*" {
        return Some(format!("{from} imports everything"));
    }
    let (Some(own), Some(other)) = (floors.get(from), floors.get(to)) else {
        return Some(format!("{from} calls {to}, and one of them is on no floor"));
    };
    let meant = SIDEWAYS.iter().any(|(a, b, _)| (*a, *b) == (from, to));
    (other >= own && !(meant && other == own))
        .then(|| format!("{from} (floor {own}) calls {to} (floor {other})"))
}

#[test]
fn every_room_has_a_floor_and_every_floor_its_rooms() {
    let all = sources();
    let library = library(&all);
    let floors = floors(library);
    let mut declared: Vec<&str> = library
        .code
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    declared.sort_unstable();
    let listed: Vec<&str> = floors.keys().map(String::as_str).collect();
    assert_eq!(
        listed, declared,
        "the table in src/lib.rs lists the modules"
    );
}

#[test]
fn a_module_imports_only_lower_floors() {
    let all = sources();
    let floors = floors(library(&all));
    let findings: Vec<String> = all
        .iter()
        .filter(|source| source.path != "src/lib.rs")
        .flat_map(|source| {
            called(source).into_iter().filter_map(|(line, to)| {
                let why = refused(&floors, source.room(), &to)?;
                Some(format!("{}:{line}: {why}", source.path))
            })
        })
        .collect();
    none(&findings, "a module imports only lower floors");
}

#[test]
fn every_call_sideways_is_needed() {
    let all = sources();
    let findings: Vec<String> = SIDEWAYS
        .iter()
        .filter(|(from, to, _)| {
            let mut calls = all.iter().filter(|s| s.room() == *from).flat_map(called);
            !calls.any(|(_, room)| room == *to)
        })
        .map(|(from, to, _)| format!("{from} does not call {to}"))
        .collect();
    none(&findings, "an exception that nothing needs is taken back");
}

/// `super::` must not climb to the crate's root, where it would be a `crate::`
/// that the floors do not see.
#[test]
fn no_super_reaches_the_root() {
    let mut findings = Vec::new();
    for source in sources() {
        if ["src/lib.rs", "src/main.rs"].contains(&source.path.as_str()) {
            continue;
        }
        let tests = source.code.find("#[cfg(test)]").unwrap_or(usize::MAX);
        for (at, _) in source.code.match_indices("super::") {
            if source.code[..at].ends_with("super::") {
                continue;
            }
            let mut climbs = 0;
            let mut rest = &source.code[at..];
            while let Some(above) = rest.strip_prefix("super::") {
                (climbs, rest) = (climbs + 1, above);
            }
            let own = source.depth() + usize::from(at > tests);
            if climbs >= own {
                let line = source.code[..at].matches('\n').count() + 1;
                findings.push(format!("{}:{line}: write crate:: instead", source.path));
            }
        }
    }
    none(&findings, "super:: stays inside its room");
}

#[test]
fn the_rule_sees_what_it_must() {
    let floors: Floors = [
        ("crypto", 2),
        ("store", 4),
        ("vault", 6),
        ("error", 1),
        ("id", 1),
    ]
    .map(|(name, floor)| (name.to_owned(), floor))
    .into();
    assert!(refused(&floors, "crypto", "vault").is_some());
    assert!(refused(&floors, "vault", "pb").is_some());
    assert!(refused(&floors, "vault", "nowhere").is_some());
    assert!(refused(&floors, "vault", "store").is_none());
    assert!(refused(&floors, "error", "id").is_none());
    assert_eq!(first_names("{a, b::{c, d}, e::f};"), ["a", "b", "e"]);
    assert_eq!(first_names("store::Rows;"), ["store"]);
}
