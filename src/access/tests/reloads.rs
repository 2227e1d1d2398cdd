//! What must hold of reloads, and of the roles file.

use super::*;

#[test]
fn a_reload_that_fails_keeps_the_old_rules() {
    let rules = rules(POLICY);
    let allowed = || read(&rules.access.now(), "care", &["name"], ALL).is_ok();
    assert!(allowed());
    for (file, bad, good) in [
        ("policy.cedar", "permit (((((", POLICY),
        ("roles.toml", "[roles]\nx = 1\n", ROLES),
        // Purposes name roles that are gone.
        (
            "roles.toml",
            "[roles]\nclerk = \"Writes\"\n[principals]\n",
            ROLES,
        ),
        ("catalog/types/person.toml", "number = 1", PERSON),
        // Changed without a new version.
        (
            "catalog/purposes/care.toml",
            &CARE.replace("Care", "Cure"),
            CARE,
        ),
    ] {
        write_file(rules.dir.path(), file, bad);
        let refused = rules.access.reload();
        assert!(
            matches!(refused, Err(Error::Setup(_))),
            "{file}: {refused:?}"
        );
        assert_eq!(rules.access.now().number(), 1);
        assert!(allowed(), "{file}");
        write_file(rules.dir.path(), file, good);
    }
    assert_eq!(rules.access.reload(), Ok(()));
    assert_eq!(rules.access.now().number(), 2);
    assert!(allowed());
}

#[test]
fn no_remembered_decision_outlives_a_reload() {
    let rules = rules(POLICY);
    let before = rules.access.now();
    for _ in 0..3 {
        assert!(read(&before, "care", &["name"], ALL).is_ok());
    }
    write_file(rules.dir.path(), "policy.cedar", "");
    rules.access.reload().unwrap();
    assert_eq!(
        denial(read(&rules.access.now(), "care", &["name"], ALL)).rule,
        Rule::Policy
    );
    // A call that began before goes on by what it began with.
    assert!(read(&before, "care", &["name"], ALL).is_ok());
}

#[test]
fn a_principal_from_before_a_reload_is_what_the_new_roles_say() {
    let rules = rules(POLICY);
    let nurse = principal(&rules.access.now(), "nurse");
    let demoted = ROLES.replace("roles = [\"nurse\"]", "roles = [\"clerk\"]");
    write_file(rules.dir.path(), "roles.toml", &demoted);
    rules.access.reload().unwrap();
    let denied = denial(read_as(&rules.access.now(), &nurse, "care", &["name"], ALL));
    assert_eq!(denied.rule, Rule::PurposeNotGranted);

    let gone = ROLES.replace("[principals.\"a/nurse\"]\nroles = [\"nurse\"]\n", "");
    assert_ne!(gone, ROLES);
    write_file(rules.dir.path(), "roles.toml", &gone);
    rules.access.reload().unwrap();
    let now = rules.access.now();
    let nobody = Error::Unauthenticated(Unauthenticated::UnknownPrincipal);
    assert_eq!(
        read_as(&now, &nurse, "care", &["name"], ALL).err(),
        Some(nobody.clone())
    );
    assert_eq!(now.delete(&nurse, record(), "person").err(), Some(nobody));
    assert!(!now.may_know_erased(&nurse));
}

#[test]
fn a_wrong_roles_file_is_refused_with_line_and_key_and_never_repeated() {
    for (was, now, line, key) in [
        ("nurse = \"Cares\"", "Nurse = \"SECRET\"", 3, "roles.Nurse"),
        ("nurse = \"Cares\"", "nurse = 7", 3, "roles.nurse"),
        ("roles = [\"nurse\"]", "roles = [\"SECRET\"]", 6, "roles"),
        ("roles = [\"nurse\"]", "roles = \"SECRET\"", 6, "roles"),
        ("roles = [\"nurse\"]", "", 5, "principals.a/nurse.roles"),
        (
            "roles = [\"nurse\"]",
            "roles = []\ncalls_per_second = 0",
            7,
            "calls_per_second",
        ),
        (
            "roles = [\"nurse\"]",
            "roles = []\nquota = \"SECRET\"",
            7,
            "quota",
        ),
        ("a/nurse", "nurse", 5, "principals.nurse"),
        ("a/nurse", "a/b/SECRET", 5, "tenant/service"),
        ("[roles]", "[rolls]", 1, "roles"),
    ] {
        let text = ROLES.replacen(was, &now.replace("SECRET", "Hunter 2"), 1);
        let refused = Roles::parse("roles.toml", &text).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("roles.toml:{line}:")),
            "{refused}"
        );
        assert!(refused.contains(key), "{refused}");
        assert!(!refused.contains("Hunter"), "{refused}");
    }
}
