//! What is wrong in a catalog is refused with the file, the line and the key,
//! and never repeated: a secret may have been pasted into the wrong file.

#![allow(clippy::panic, clippy::unwrap_used)]

use oubliette::catalog::Catalog;
use oubliette::error::Error;
use std::fs;
use std::path::Path;

/// Stands where a value is wrong; no message may hold it.
const SECRET: &str = "hunter2-correct-horse";

const CATALOG: &str = "version = 1\ntitle = \"Test\"\n";
const PERSON: &str = "number = 1\nversion = 1\ntitle = \"A person\"\n\n\
    [fields.name]\nnumber = 1\nkind = \"string\"\nclassification = \"user.name.first\"\nmax_bytes = 100\n\n\
    [fields.born]\nnumber = 2\nkind = \"date\"\nclassification = \"user.demographic.date_of_birth\"\n\n\
    [fields.health]\nnumber = 3\nkind = \"string\"\nclassification = \"user.health_and_medical\"\nspecial = true\nmax_bytes = 100\n";
const CARE: &str = "number = 1\ntitle = \"Care\"\nbasis = \"contract\"\nmechanism = \"notice_only\"\ncallers = [\"nurse\"]\n\n\
    [grants.person]\nname = \"raw\"\nborn = \"derived:year\"\n";

fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn good() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "catalog.toml", CATALOG);
    write(dir.path(), "types/person.toml", PERSON);
    write(dir.path(), "purposes/care.toml", CARE);
    dir
}

fn refusal(dir: &Path) -> String {
    match Catalog::load(dir) {
        Ok(_) => panic!("the catalog was accepted"),
        Err(Error::Setup(what)) => what,
        Err(other) => panic!("{other:?}"),
    }
}

fn text_of(file: &str) -> &'static str {
    match file {
        "catalog.toml" => CATALOG,
        "types/person.toml" => PERSON,
        _ => CARE,
    }
}

/// Puts `now` in the place of `was` in one file of a good catalog; the refusal
/// must name that file, the line, and `key`.
fn refused_with(file: &str, was: &str, now: &str, key: &str) {
    let dir = good();
    let now = now.replace("SECRET", SECRET);
    let text = text_of(file);
    let at = text
        .find(was)
        .unwrap_or_else(|| panic!("{file} has no {was}"));
    write(dir.path(), file, &text.replacen(was, &now, 1));
    let what = refusal(dir.path());
    assert!(what.contains(&format!("{file}:")), "{what}");
    assert!(what.contains(key), "{what} does not name {key}");
    assert!(!what.contains(SECRET), "{what}");
    let line: usize = what
        .split(&format!("{file}:"))
        .nth(1)
        .unwrap()
        .split(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let begins = text.get(..at).unwrap().matches('\n').count() + 1;
    let ends = begins + now.matches('\n').count().max(was.matches('\n').count());
    // A table as a whole is named by the line of its head.
    let head = text
        .lines()
        .take(begins)
        .enumerate()
        .filter(|(_, l)| l.starts_with('['));
    let first = head.last().map_or(1, |(at, _)| at + 1);
    assert!(
        (first..=ends).contains(&line) || what.contains("is missing"),
        "{what}: expected line {first} to {ends}"
    );
}

#[test]
fn the_good_catalog_is_accepted() {
    let dir = good();
    let catalog = Catalog::load(dir.path()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(catalog.record_types().count(), 1);
    assert!(
        catalog
            .record_type("person")
            .unwrap()
            .field("health")
            .unwrap()
            .special
    );
}

#[test]
fn a_wrong_record_type_is_refused_by_file_line_and_key() {
    let file = "types/person.toml";
    for (was, now, key) in [
        ("number = 1\nversion", "version", "number"),
        ("number = 1\nversion", "number = 0\nversion", "number"),
        ("number = 1\nversion", "number = 65536\nversion", "number"),
        (
            "number = 1\nversion",
            "number = \"SECRET\"\nversion",
            "number",
        ),
        ("version = 1", "version = -1", "version"),
        ("title = \"A person\"", "title = 4", "title"),
        ("title = \"A person\"", "title = \"\"", "title"),
        ("title = \"A person\"", "titel = \"SECRET\"", "title"),
        (
            "title = \"A person\"",
            "title = \"A person\"\nsecret = \"SECRET\"",
            "secret",
        ),
        ("title = \"A person\"", "title = SECRET", "TOML"),
        (
            "title = \"A person\"",
            "title = \"a\"\ntitle = \"SECRET\"",
            "TOML",
        ),
        ("[fields.name]", "[fields.Name]", "fields.Name"),
        (
            "[fields.name]",
            "[fields.\"na me SECRET\"]",
            "fields.(a key)",
        ),
        (
            "[fields.name]",
            "[fields.name]\nnumber = 9\n[fields.name]",
            "TOML",
        ),
        ("number = 2", "number = 1", "number"),
        ("number = 2", "number = 16384", "fields.born.number"),
        ("number = 2", "number = 2.0", "fields.born.number"),
        ("kind = \"date\"", "kind = \"SECRET\"", "fields.born.kind"),
        (
            "kind = \"date\"",
            "kind = \"date\"\nmax_bytes = 4",
            "fields.born.max_bytes",
        ),
        (
            "kind = \"date\"",
            "kind = \"date\"\nkinds = \"SECRET\"",
            "fields.born.kinds",
        ),
        (
            "kind = \"date\"",
            "kind = \"date\"\nindexed = true\nnormaliser = \"exact\"",
            "fields.born",
        ),
        (
            "classification = \"user.name.first\"",
            "classification = \"SECRET\"",
            "fields.name.classification",
        ),
        (
            "classification = \"user.name.first\"",
            "classification = \"user\"",
            "fields.name.classification",
        ),
        (
            "classification = \"user.name.first\"",
            "",
            "fields.name.classification",
        ),
        ("max_bytes = 100", "max_bytes = 0", "fields.name.max_bytes"),
        (
            "max_bytes = 100",
            "max_bytes = 1048577",
            "fields.name.max_bytes",
        ),
        (
            "max_bytes = 100",
            "max_bytes = \"SECRET\"",
            "fields.name.max_bytes",
        ),
        ("max_bytes = 100", "", "fields.name.max_bytes"),
        (
            "max_bytes = 100",
            "max_bytes = 1\nretention_days = 0",
            "fields.name.retention_days",
        ),
        (
            "max_bytes = 100",
            "max_bytes = 1\nindexed = true",
            "fields.name",
        ),
        (
            "max_bytes = 100",
            "max_bytes = 1\nnormaliser = \"exact\"",
            "fields.name",
        ),
        (
            "max_bytes = 100",
            "max_bytes = 1\nindexed = true\nnormaliser = \"SECRET\"",
            "fields.name.normaliser",
        ),
        (
            "special = true",
            "special = \"SECRET\"",
            "fields.health.special",
        ),
    ] {
        refused_with(file, was, now, key);
    }
}

#[test]
fn a_wrong_purpose_is_refused_by_file_line_and_key() {
    let file = "purposes/care.toml";
    for (was, now, key) in [
        ("number = 1", "number = 0", "number"),
        ("basis = \"contract\"", "basis = \"SECRET\"", "basis"),
        ("basis = \"contract\"", "", "basis"),
        // Consent is asked for, and only consent is.
        (
            "basis = \"contract\"\nmechanism",
            "basis = \"consent\"\nmechanism",
            "mechanism",
        ),
        (
            "mechanism = \"notice_only\"",
            "mechanism = \"opt_in\"",
            "mechanism",
        ),
        (
            "mechanism = \"notice_only\"",
            "mechanism = \"SECRET\"",
            "mechanism",
        ),
        ("callers = [\"nurse\"]", "callers = \"SECRET\"", "callers"),
        (
            "callers = [\"nurse\"]",
            "callers = [\"S P SECRET\"]",
            "callers",
        ),
        (
            "callers = [\"nurse\"]",
            "callers = [\"nurse\", \"nurse\"]",
            "callers",
        ),
        (
            "callers = [\"nurse\"]",
            "callers = [\"nurse\"]\nexpires = \"SECRET\"",
            "expires",
        ),
        (
            "callers = [\"nurse\"]",
            "callers = [\"nurse\"]\nexpires = 2030-01-01T00:00:00Z",
            "expires",
        ),
        (
            "callers = [\"nurse\"]",
            "callers = [\"nurse\"]\nspecial_basis = \"SECRET\"",
            "special_basis",
        ),
        (
            "callers = [\"nurse\"]",
            "callers = [\"nurse\"]\nrecipients = [4]",
            "recipients",
        ),
        ("[grants.person]", "[grants.robot]", "grants.robot"),
        ("[grants.person]", "[grant.person]", "grants"),
        ("name = \"raw\"", "nome = \"raw\"", "grants.person.nome"),
        ("name = \"raw\"", "name = \"SECRET\"", "grants.person.name"),
        ("name = \"raw\"", "name = 1", "grants.person.name"),
        (
            "name = \"raw\"",
            "name = \"derived:age_band\"",
            "grants.person.name",
        ),
        (
            "name = \"raw\"",
            "name = \"derived:city\"",
            "grants.person.name",
        ),
        (
            "born = \"derived:year\"",
            "born = \"derived:year\"\nborn = \"SECRET\"",
            "TOML",
        ),
        (
            "born = \"derived:year\"",
            "born = \"masked:last4\"",
            "grants.person.born",
        ),
        (
            "born = \"derived:year\"",
            "health = \"raw\"",
            "grants.person.health",
        ),
    ] {
        refused_with(file, was, now, key);
    }
}

#[test]
fn a_wrong_catalog_file_is_refused_by_file_line_and_key() {
    for (was, now, key) in [
        ("version = 1", "version = 4294967296", "version"),
        ("version = 1", "version = SECRET", "TOML"),
        ("title = \"Test\"", "title = \"a\\u0007SECRET\"", "title"),
        (
            "title = \"Test\"",
            "title = \"Test\"\nextra = \"SECRET\"",
            "extra",
        ),
    ] {
        refused_with("catalog.toml", was, now, key);
    }
}

/// Adds or replaces one file of a good catalog by bytes.
fn refused_file(file: &str, bytes: &[u8], expected: &str) {
    let dir = good();
    let path = dir.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    let what = refusal(dir.path());
    assert!(what.contains(file) && what.contains(expected), "{what}");
}

#[test]
fn a_file_that_does_not_belong_or_cannot_be_read_is_refused_by_its_name() {
    refused_file("purpose", b"", "does not belong");
    refused_file("types/person.toml.bak", b"", "<name>.toml");
    refused_file("types/Person.toml", b"", "<name>.toml");
    refused_file("types/plant.toml", PERSON.as_bytes(), "number");
    refused_file("purposes/watering.toml", CARE.as_bytes(), "number");
    refused_file("catalog.toml", b"title = \"\xff\"", "UTF-8");
    refused_file("catalog.toml", &vec![b'#'; (1 << 20) + 1], "larger");
    refused_file("catalog.toml", "a=[".repeat(10_000).as_bytes(), "TOML");
    refused_file(
        "types/plant.toml",
        b"number = 2\nversion = 1\ntitle = \"x\"\n[fields]\n",
        "fields",
    );
    let many: String = (1..=129)
        .map(|n| {
            format!(
                "[fields.f{n}]\nnumber = {n}\nkind = \"bool\"\nclassification = \"user.content\"\n"
            )
        })
        .collect();
    let many = format!("number = 2\nversion = 1\ntitle = \"x\"\n{many}");
    refused_file("types/plant.toml", many.as_bytes(), "128");
}

#[test]
fn an_empty_or_missing_directory_is_refused_by_its_name() {
    let dir = good();
    fs::remove_file(dir.path().join("purposes/care.toml")).unwrap();
    assert!(refusal(dir.path()).contains("purposes"));
    fs::remove_dir(dir.path().join("purposes")).unwrap();
    assert!(refusal(dir.path()).contains("purposes"));
    fs::remove_file(dir.path().join("catalog.toml")).unwrap();
    assert!(refusal(dir.path()).contains("catalog.toml"));
    assert!(refusal(&dir.path().join("nowhere")).contains("nowhere"));
}

#[test]
fn a_changed_catalog_gets_another_hash_and_the_same_one_keeps_it() {
    let (one, same, other) = (good(), good(), good());
    write(
        other.path(),
        "catalog.toml",
        &CATALOG.replace("Test", "Tset"),
    );
    let hash = |dir: &tempfile::TempDir| *Catalog::load(dir.path()).unwrap().hash();
    assert_eq!(hash(&one), hash(&same));
    assert_ne!(hash(&one), hash(&other));
}

#[test]
fn a_catalog_that_changes_the_meaning_of_stored_data_may_not_follow() {
    let load = |dir: &tempfile::TempDir| Catalog::load(dir.path()).unwrap();
    let old = load(&good());
    let next = |file: &str, was: &str, now: &str| {
        let dir = good();
        write(
            dir.path(),
            "catalog.toml",
            &CATALOG.replace("version = 1", "version = 2"),
        );
        write(dir.path(), file, &text_of(file).replace(was, now));
        let next = load(&dir);
        next.may_follow(&old).map_err(|error| error.to_string())
    };
    assert_eq!(load(&good()).may_follow(&old), Ok(()));
    assert_eq!(
        next(
            "types/person.toml",
            "title = \"A person\"",
            "title = \"Somebody\""
        ),
        Ok(())
    );
    let person = "types/person.toml";
    let renamed = next(person, "[fields.health]", "[fields.care]");
    assert!(renamed.unwrap_err().contains("fields.care"));
    let retyped = next(person, "kind = \"date\"", "kind = \"timestamp\"");
    assert!(retyped.unwrap_err().contains("fields.born"));
    let moved = next(person, "number = 2", "number = 4");
    assert_eq!(moved, Ok(()), "a number may go out of use");
}

#[test]
fn a_changed_catalog_under_an_old_version_may_not_follow() {
    let old = good();
    let new = good();
    write(
        new.path(),
        "purposes/care.toml",
        &CARE.replace("Care", "More care"),
    );
    let old = Catalog::load(old.path()).unwrap();
    let refused = Catalog::load(new.path())
        .unwrap()
        .may_follow(&old)
        .unwrap_err();
    assert!(refused.to_string().contains("version"), "{refused}");
}

/// A purpose that customers object to, with these keys.
const OFFERS: &str = "number = 2\ntitle = \"Offers\"\nbasis = \"legitimate_interest\"\n\
    mechanism = \"opt_out\"\ncallers = [\"nurse\"]\n";

#[test]
fn signals_that_a_purpose_cannot_hear_are_refused_by_their_key() {
    let hears = |keys: &str| {
        let dir = good();
        let text = format!("{OFFERS}{keys}\n[grants.person]\nname = \"raw\"\n");
        write(dir.path(), "purposes/offers.toml", &text);
        dir
    };
    let heard = hears("gpc = true\ntcf = [2, 7, 24]\ntcf_vendor = 65535");
    let catalog = Catalog::load(heard.path()).unwrap();
    let hears_now = &catalog.purpose("offers").unwrap().scope.hears;
    assert!(hears_now.gpc && hears_now.tcf.iter().eq(&[2, 7, 24]));
    assert_eq!(hears_now.tcf_vendor, Some(65_535));
    for (keys, key) in [
        ("gpc = \"yes\"", "gpc"),
        ("tcf = []", "tcf"),
        ("tcf = [0]", "tcf"),
        ("tcf = [25]", "tcf"),
        ("tcf = [7, 7]", "tcf"),
        ("tcf = [\"7\"]", "tcf"),
        ("tcf = 7", "tcf"),
        // The framework allows no legitimate interest for these.
        ("tcf = [2, 3]", "tcf"),
        ("tcf = [1]", "tcf"),
        ("tcf_vendor = 5", "tcf_vendor"),
        ("tcf = [7]\ntcf_vendor = 0", "tcf_vendor"),
        ("tcf = [7]\ntcf_vendor = 65536", "tcf_vendor"),
    ] {
        let what = refusal(hears(keys).path());
        assert!(what.contains("purposes/offers.toml:"), "{keys}: {what}");
        assert!(what.contains(&format!(" {key}: ")), "{keys}: {what}");
    }
    // Nobody has a say in care.
    for (keys, key) in [("gpc = true", "gpc"), ("tcf = [7]", "tcf")] {
        let now = format!("callers = [\"nurse\"]\n{keys}");
        refused_with("purposes/care.toml", "callers = [\"nurse\"]", &now, key);
    }
}

#[test]
fn a_notice_that_tells_other_signals_adds_its_own_until_the_next() {
    let dir = good();
    let text = format!("{OFFERS}tcf = [7]\n[grants.person]\nname = \"raw\"\n");
    write(dir.path(), "purposes/offers.toml", &text);
    let tells = "[versions.1]\npublished = 2026-01-01\n[versions.1.text]\nen = \"Offers.\"\n\
        [versions.1.tells]\nbasis = \"legitimate_interest\"\nmechanism = \"opt_out\"\n\
        callers = [\"nurse\"]\ngpc = true\ntcf = [2]\ntcf_vendor = 9\n\
        [versions.1.tells.grants.person]\nname = \"raw\"\n";
    write(dir.path(), "notices/offers.toml", tells);
    let catalog = Catalog::load(dir.path()).unwrap();
    let hears = &catalog.purpose("offers").unwrap().scope.hears;
    assert!(hears.gpc && hears.tcf.iter().eq(&[2, 7]));
    assert_eq!(hears.tcf_vendor, Some(9));
}

#[test]
fn a_controller_is_named_whole_or_not_at_all() {
    let keys = [
        ("name", "Acme"),
        ("address", "1 Example Street"),
        ("country", "DE"),
        ("representative", "Ada"),
        ("email", "privacy@acme.example"),
        ("url", "https://acme.example"),
        ("officer", "Bo"),
        ("officer_email", "officer@acme.example"),
        ("authority", "The commissioner"),
    ];
    let with = |of: &str, change: &dyn Fn(&str, &str) -> Option<String>| {
        let dir = good();
        let table: String = keys
            .iter()
            .filter_map(|(key, value)| change(key, value))
            .collect();
        let text = format!("{CATALOG}[controllers.{of}]\n{table}");
        write(dir.path(), "catalog.toml", &text);
        dir
    };
    let line = |key: &str, value: &str| format!("{key} = \"{value}\"\n");
    assert!(Catalog::load(with("acme", &|k, v| Some(line(k, v))).path()).is_ok());
    for (missing, _) in keys {
        let dir = with("acme", &|k, v| (k != missing).then(|| line(k, v)));
        let what = refusal(dir.path());
        assert!(what.contains(&format!("{missing}: is missing")), "{what}");
    }
    for (key, value) in [("country", "Germany"), ("url", "http://acme.example")] {
        let dir = with("acme", &|k, v| {
            Some(line(k, if k == key { value } else { v }))
        });
        let what = refusal(dir.path());
        assert!(what.contains(&format!("{key}: must")), "{what}");
    }
    let strange = with("\"A b\"", &|k, v| Some(line(k, v)));
    assert!(refusal(strange.path()).contains("named by a tenant"));
}
