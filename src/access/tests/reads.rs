//! What must hold of reads, grants and permits.

use super::*;

#[test]
fn a_read_needs_a_purpose_that_is_known_valid_and_the_callers_own() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    for (purpose, rule) in [
        ("", Rule::PurposeMissing),
        ("nonsense", Rule::PurposeUnknown),
        ("old", Rule::PurposeExpired),
    ] {
        assert_eq!(
            denial(read(&now, purpose, &["name"], ALL)).rule,
            rule,
            "{purpose}"
        );
        assert_eq!(
            denial(read(&now, purpose, &[], MAY)).rule,
            rule,
            "{purpose}"
        );
    }
    let clerk = principal(&now, "clerk");
    let denied = denial(read_as(&now, &clerk, "care", &["name"], ALL));
    assert_eq!(denied.rule, Rule::PurposeNotGranted);
}

#[test]
fn a_purpose_expires_at_the_start_of_its_day() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    let on = |today| {
        let ask = ReadAsk {
            target: ReadTarget::All,
            record_type: "person",
            purpose: "old",
            fields: &[],
            mode: ALL,
            with_handle: false,
            today,
        };
        now.read(&principal(&now, "nurse"), ask)
            .map(|grant| grant.action())
    };
    assert_eq!(on(Day(TODAY.0 - 1)), Ok(Action::StreamRecords));
    assert_eq!(on(TODAY), Err(Error::denied(Rule::PurposeExpired)));
}

#[test]
fn all_or_nothing_is_denied_by_the_first_refused_field() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    let grant = read(&now, "care", &["phone", "name"], ALL).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(shown(&grant), [("name", "raw"), ("phone", "masked")]);
    assert_eq!(grant.policies(), ["nurse-reads"]);
    assert_eq!(grant.catalog_version(), 1);

    let denied = denial(read(&now, "care", &["name", "health"], ALL));
    assert_eq!(denied.rule, Rule::Policy);
    assert_eq!(denied.field.as_ref().map(|f| f.as_str()), Some("health"));
    assert_eq!(denied.policies, ["no-health"]);
    let denied = denial(read(&now, "care", &["name", "health", "born"], ALL));
    assert_eq!(denied.rule, Rule::FieldNotInPurpose);
    assert_eq!(denied.field.as_ref().map(|f| f.as_str()), Some("born"));
}

#[test]
fn what_i_may_see_withholds_each_refused_field_with_its_reason() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    let grant = read(&now, "care", &["health", "name", "born"], MAY);
    let grant = grant.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(shown(&grant), [("name", "raw")]);
    assert_eq!(
        withheld(&grant),
        [(3, Rule::FieldNotInPurpose), (4, Rule::Policy)]
    );
    assert_eq!(grant.target().withheld[1].denial.policies, ["no-health"]);
    let grant = read(&now, "care", &[], MAY).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        shown(&grant),
        [("name", "raw"), ("phone", "masked"), ("data", "raw")]
    );
    assert_eq!(withheld(&grant), [(4, Rule::Policy)]);
}

#[test]
fn a_read_of_which_every_field_is_refused_is_denied() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    assert_eq!(
        denial(read(&now, "care", &["health"], MAY)).rule,
        Rule::Policy
    );
    assert_eq!(
        denial(read(&now, "care", &["born"], MAY)).rule,
        Rule::FieldNotInPurpose
    );
    assert_eq!(
        denial(read(&now, "care", &["born", "health"], MAY)).rule,
        Rule::Policy
    );
}

#[test]
fn fields_that_are_allowed_alone_but_not_together_are_denied() {
    let together = r#"
@id("reads") permit (principal, action in Action::"read", resource);
@id("not-both") forbid (principal, action, resource)
when { context.fields.containsAll(["name", "phone"]) };
"#;
    let rules = rules(together);
    let now = rules.access.now();
    assert!(read(&now, "care", &["name"], ALL).is_ok());
    assert!(read(&now, "care", &["phone"], ALL).is_ok());
    for mode in [ALL, MAY] {
        let denied = denial(read(&now, "care", &["name", "phone"], mode));
        assert_eq!(
            (denied.field, denied.policies),
            (None, vec!["not-both".to_owned()])
        );
    }
}

#[test]
fn without_a_policy_that_permits_everything_is_denied() {
    let rules = rules("");
    let now = rules.access.now();
    let nurse = principal(&now, "nurse");
    let nobody = Denial {
        rule: Rule::Policy,
        field: None,
        policies: Vec::new(),
    };
    let customer = || CustomerId::parse("name", "c").unwrap();
    assert_eq!(denial(read(&now, "care", &["name"], ALL)), nobody);
    assert_eq!(
        denial(now.list(&nurse, customer(), "person", "care", TODAY)),
        nobody
    );
    assert_eq!(denial(now.create(&nurse, customer(), false)), nobody);
    assert_eq!(denial(now.show(&nurse, customer())), nobody);
    assert_eq!(denial(now.erase(&nurse, customer())), nobody);
    assert_eq!(denial(now.key_status(&nurse)), nobody);
    assert_eq!(denial(now.delete(&nurse, record(), "person")), nobody);
    assert_eq!(
        denial(put(&now, "nurse", vec![("name", Value::text("x"))])),
        nobody
    );
    assert!(!now.may_know_erased(&nurse));
}

#[test]
fn an_erased_customer_is_recreated_only_by_who_may_do_both() {
    let one = r#"@id("creates") permit (principal in Role::"clerk", action == Action::"create_customer", resource);"#;
    let both =
        r#"@id("again") permit (principal, action == Action::"recreate_customer", resource);"#;
    let customer = || CustomerId::parse("name", "c").unwrap();
    let create = |policy: &str, service: &str, again: bool| {
        let rules = rules(policy);
        let now = rules.access.now();
        let grant = now.create(&principal(&now, service), customer(), again)?;
        Ok(grant.policies().to_vec())
    };
    let denied: Result<Vec<String>> = Err(Error::denied(Rule::Policy));
    assert_eq!(create(one, "clerk", false), Ok(names(&["creates"])));
    assert_eq!(create(one, "clerk", true), denied);
    assert_eq!(create(both, "clerk", true), denied);
    assert_eq!(
        create(&format!("{one}{both}"), "clerk", true),
        Ok(names(&["again", "creates"]))
    );
    assert_eq!(create(&format!("{one}{both}"), "nurse", true), denied);
}

#[test]
fn a_refused_request_names_the_place_and_never_what_stood_there() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    let fields = ["name", "Erika Mustermann", "phone", "name"];
    let violations = invalid(read(&now, "care", &fields, ALL));
    let places: Vec<_> = violations.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(places, ["fields[1]", "fields[3]"]);
    assert!(!format!("{violations:?}").contains("Erika"));
    let many = vec!["name"; crate::limits::FIELDS_PER_REQUEST + 1];
    assert!(!invalid(read(&now, "care", &many, ALL)).is_empty());
    let nurse = principal(&now, "nurse");
    assert_eq!(
        invalid(now.delete(&nurse, record(), "robot"))[0].0,
        "record_type"
    );
}

#[test]
fn a_permit_needs_the_customers_own_unrestricted_state() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    let keys = IdentityKey::generate().unwrap().subkeys();
    let facts = |number, restricted| {
        let mut state = State::active();
        if restricted {
            let asked = Restrained::Restricted(Cause::Asked);
            state.restrain(asked).unwrap();
        }
        let mac = state.mac(&keys.state, number);
        Facts::verify(&state.encode(), &mac, &keys.state, number).unwrap_or_else(|e| panic!("{e}"))
    };
    let at = Moment {
        today: TODAY,
        lineage: 0,
    };
    let (one, two) = (CustomerNumber(1), CustomerNumber(2));
    let grant = Arc::new(read(&now, "care", &["name"], ALL).unwrap_or_else(|e| panic!("{e}")));
    let permit = grant
        .permit(one, &facts(one, false), at)
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(permit.customer(), one);
    assert_eq!(permit.target().fields.len(), 1);
    let restricted = grant.permit(one, &facts(one, true), at).err();
    assert_eq!(restricted, Some(Error::denied(Rule::Restricted)));
    assert!(matches!(
        grant.permit(one, &facts(two, false), at).err(),
        Some(Error::Internal(_))
    ));

    let written = Arc::new(put(&now, "clerk", vec![]).unwrap_or_else(|e| panic!("{e}")));
    let restricted = written.permit(one, &facts(one, true), at).err();
    assert_eq!(restricted, Some(Error::denied(Rule::Restricted)));
    let forged = Facts::verify(&State::active().encode(), &[0; 32], &keys.state, one).err();
    assert_eq!(forged, Some(Error::DataLoss(Lost::State)));
}
