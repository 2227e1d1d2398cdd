//! What a change of a purpose does: narrowing acts at once, widening waits for
//! a notice that tells it.

use super::*;

/// The scope that the first notice tells.
const TOLD: &str = r#"basis = "contract"
mechanism = "notice_only"
special_basis = "health_care"
callers = ["nurse"]
recipients = ["lab"]
jurisdictions = ["DE", "FR"]
retention_days = 100
expires = 2030-01-01
"#;

/// What it tells of each field.
const GRANTS: &str = "name = \"raw\"\nphone = \"masked:last4\"\nborn = \"derived:year\"\n";

fn purpose(keys: &str, grants: &str) -> String {
    format!("number = 1\ntitle = \"Care\"\n{keys}[grants.person]\n{grants}")
}

fn notice(versions: &[(u32, bool, &str, &str)]) -> String {
    let version = |(number, published, keys, grants): &(u32, bool, &str, &str)| {
        let published = if *published {
            "published = 2026-01-01\n"
        } else {
            ""
        };
        format!(
            "[versions.{number}]\n{published}[versions.{number}.text]\nen = \"{number}\"\n\
             [versions.{number}.tells]\n{keys}[versions.{number}.tells.grants.person]\n{grants}"
        )
    };
    versions.iter().map(version).collect()
}

/// Rules with one purpose and its notice.
struct Edited {
    rules: Rules,
    version: u32,
}

impl Edited {
    fn new() -> Self {
        let rules = rules(POLICY);
        let mut edited = Self { rules, version: 1 };
        edited.file(
            "roles.toml",
            &ROLES.replace(
                "roles = [\"nurse\"]",
                "roles = [\"nurse\"]\nregions = [\"DE\"]",
            ),
        );
        edited.reload(&purpose(TOLD, GRANTS), &notice(&[(1, true, TOLD, GRANTS)]));
        edited
    }

    fn file(&self, name: &str, text: &str) {
        write_file(self.rules.dir.path(), name, text);
    }

    fn reload(&mut self, purpose: &str, notice: &str) {
        self.version += 1;
        let version = self.version;
        self.file(
            "catalog/catalog.toml",
            &format!("version = {version}\ntitle = \"T\"\n"),
        );
        self.file("catalog/purposes/care.toml", purpose);
        self.file("catalog/notices/care.toml", notice);
        let reloaded = self.rules.access.reload();
        assert!(reloaded.is_ok(), "{reloaded:?}\n{purpose}\n{notice}");
    }

    /// All that is in force of the purpose.
    fn in_force(&self) -> crate::catalog::Scope {
        let now = self.rules.access.now();
        now.catalog().purpose("care").unwrap().scope.clone()
    }
}

/// Edits of one key: what stands in its place.
fn edits() -> Vec<(bool, String, String)> {
    let mut all = Vec::new();
    let mut edit = |widens: bool, was: &str, now: &str| {
        assert!(TOLD.contains(was), "{was}");
        all.push((widens, TOLD.replacen(was, now, 1), GRANTS.to_owned()));
    };
    edit(
        true,
        "callers = [\"nurse\"]",
        "callers = [\"nurse\", \"clerk\"]",
    );
    edit(
        true,
        "recipients = [\"lab\"]",
        "recipients = [\"lab\", \"press\"]",
    );
    edit(
        true,
        "recipients = [\"lab\"]",
        "recipients = [\"lab\", \"bank\", \"press\"]",
    );
    edit(true, "jurisdictions = [\"DE\", \"FR\"]\n", "");
    edit(
        true,
        "basis = \"contract\"",
        "basis = \"legitimate_interest\"",
    );
    edit(true, "basis = \"contract\"", "basis = \"public_task\"");
    edit(
        true,
        "special_basis = \"health_care\"",
        "special_basis = \"legal_claims\"",
    );
    edit(true, "retention_days = 100\n", "");
    edit(true, "expires = 2030-01-01\n", "");
    edit(true, "callers =", "despite_restriction = true\ncallers =");
    for region in ["US", "CH", "IE", "IT", "ES"] {
        edit(true, "\"FR\"]", &format!("\"FR\", \"{region}\"]"));
    }
    for days in [101, 200, 365, 1_000, 36_525] {
        edit(
            true,
            "retention_days = 100",
            &format!("retention_days = {days}"),
        );
    }
    for year in [2031, 2032, 2040, 2050, 2099] {
        edit(true, "expires = 2030", &format!("expires = {year}"));
    }
    edit(false, "callers = [\"nurse\"]", "callers = []");
    edit(false, "recipients = [\"lab\"]\n", "");
    edit(false, "special_basis = \"health_care\"\n", "");
    edit(
        false,
        "special_basis = \"health_care\"",
        "special_basis = \"explicit_consent\"",
    );
    edit(false, "callers =", "assert = true\ncallers =");
    edit(false, "callers =", "collects = false\ncallers =");
    edit(false, "notice_only\"", "opt_out\"");
    edit(
        false,
        "basis = \"contract\"\nmechanism = \"notice_only\"",
        "basis = \"consent\"\nmechanism = \"opt_in\"",
    );
    for region in ["DE", "FR"] {
        edit(false, "[\"DE\", \"FR\"]", &format!("[\"{region}\"]"));
    }
    for days in [1, 10, 50, 98, 99] {
        edit(
            false,
            "retention_days = 100",
            &format!("retention_days = {days}"),
        );
    }
    for year in [2025, 2026, 2027, 2028, 2029] {
        edit(false, "expires = 2030", &format!("expires = {year}"));
    }
    let mut grant = |widens: bool, grants: String| all.push((widens, TOLD.to_owned(), grants));
    for more in ["health", "data", "stale"] {
        for form in ["raw", "exists"] {
            grant(true, format!("{GRANTS}{more} = \"{form}\"\n"));
        }
    }
    for form in [
        "raw",
        "masked:initials",
        "masked:email",
        "derived:email_domain",
        "derived:postal_prefix",
    ] {
        grant(true, GRANTS.replace("masked:last4", form));
    }
    for form in ["raw", "derived:age_band", "derived:at_least_18"] {
        grant(true, GRANTS.replace("derived:year", form));
    }
    for (field, was) in [
        ("name", "raw"),
        ("phone", "masked:last4"),
        ("born", "derived:year"),
    ] {
        let line = format!("{field} = \"{was}\"");
        grant(
            false,
            GRANTS.replace(&line, &format!("{field} = \"exists\"")),
        );
        grant(false, GRANTS.replace(&format!("{line}\n"), ""));
    }
    for form in [
        "masked:last4",
        "masked:initials",
        "masked:email",
        "derived:email_domain",
        "derived:postal_prefix",
    ] {
        grant(
            false,
            GRANTS.replace("name = \"raw\"", &format!("name = \"{form}\"")),
        );
    }
    // Two at a time.
    let (widening, narrowing): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|e| e.0);
    let keys = widening.iter().chain(&narrowing).filter(|e| e.2 == GRANTS);
    let with_grants: Vec<_> = keys
        .take(40)
        .map(|(widens, keys, _)| {
            (
                *widens,
                keys.clone(),
                GRANTS.replace("name = \"raw\"\n", ""),
            )
        })
        .collect();
    all.extend(with_grants);
    all
}

#[test]
fn each_of_a_hundred_edits_that_narrows_acts_at_once_and_each_that_widens_waits_for_its_notice() {
    let mut edited = Edited::new();
    let told = edited.in_force();
    let all = edits();
    assert!(all.len() >= 100, "{}", all.len());
    let first = (1, true, TOLD, GRANTS);
    let mut published: Vec<(u32, bool, String, String)> = Vec::new();
    let mut number = 1;
    for (widens, keys, grants) in &all {
        // Back to where it began: a version that tells what the first one told.
        let mut notices: Vec<(u32, bool, &str, &str)> = vec![first];
        let kept = published.clone();
        notices.extend(
            kept.iter()
                .map(|(n, p, k, g)| (*n, *p, k.as_str(), g.as_str())),
        );
        number += 1;
        notices.push((number, true, TOLD, GRANTS));
        published.push((number, true, TOLD.to_owned(), GRANTS.to_owned()));
        edited.reload(&purpose(TOLD, GRANTS), &notice(&notices));
        assert_eq!(edited.in_force(), told);

        edited.reload(&purpose(keys, grants), &notice(&notices));
        let before = edited.in_force();
        let now = edited.rules.access.now();
        let waits = now.catalog().purpose("care").unwrap().waits_for_a_notice();
        assert_eq!(waits, *widens, "{keys}{grants}");
        if *widens {
            let narrower = GRANTS.replace("name = \"raw\"\n", "");
            assert!(
                before == told || *grants == narrower,
                "it is inert: {keys}{grants}"
            );
        } else {
            assert_ne!(before, told, "it acts at once: {keys}{grants}");
        }
        // A draft changes nothing; published, it does.
        number += 1;
        notices.push((number, false, keys, grants));
        edited.reload(&purpose(keys, grants), &notice(&notices));
        assert_eq!(edited.in_force(), before, "a draft tells nobody");
        notices.pop();
        notices.push((number, true, keys, grants));
        edited.reload(&purpose(keys, grants), &notice(&notices));
        let now = edited.rules.access.now();
        let care = now.catalog().purpose("care").unwrap();
        assert_eq!(care.scope, care.declared, "{keys}{grants}");
        published.push((number, true, keys.clone(), grants.clone()));
        if published.len() > 40 {
            // A catalog of its own, so that the file does not grow without end.
            edited = Edited::new();
            published.clear();
            number = 1;
        }
    }
}

#[test]
fn a_published_version_is_never_changed_and_a_purpose_without_one_is_closed() {
    let mut edited = Edited::new();
    let refuse = |edited: &mut Edited, notice: &str| {
        edited.version += 1;
        let version = edited.version;
        edited.file(
            "catalog/catalog.toml",
            &format!("version = {version}\ntitle = \"T\"\n"),
        );
        edited.file("catalog/notices/care.toml", notice);
        edited
            .rules
            .access
            .reload()
            .err()
            .map(|error| error.to_string())
    };
    let other = notice(&[(1, true, TOLD, "name = \"raw\"\n")]);
    let why = refuse(&mut edited, &other).unwrap_or_default();
    assert!(why.contains("published version"), "{why}");
    let text = notice(&[(1, true, TOLD, GRANTS)]).replace("en = \"1\"", "en = \"one\"");
    assert!(refuse(&mut edited, &text).is_some());
    let unpublished = notice(&[(1, false, TOLD, GRANTS)]);
    assert!(refuse(&mut edited, &unpublished).is_some());

    let rules = rules(POLICY);
    write_file(
        rules.dir.path(),
        "catalog/catalog.toml",
        "version = 2\ntitle = \"T\"\n",
    );
    write_file(rules.dir.path(), "catalog/notices/care.toml", &unpublished);
    rules.access.reload().unwrap();
    let now = rules.access.now();
    assert_eq!(
        denial(read(&now, "care", &["name"], ALL)).rule,
        Rule::NoticeUnpublished
    );
}
