//! What must hold of writes.

use super::*;

#[test]
fn a_field_that_no_purpose_needs_any_more_is_not_stored() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    for field in ["born", "stale"] {
        let denied = denial(put(&now, "clerk", vec![(field, Value::text("x"))]));
        assert_eq!(denied.rule, Rule::FieldNotNeeded);
        assert_eq!(denied.field.as_ref().map(|f| f.as_str()), Some(field));
    }
    // But it can be removed.
    let grant = write(&now, "clerk", vec![], Some(&["stale", "born"]));
    let grant = grant.unwrap_or_else(|error| panic!("{error}"));
    let Change::Update { remove } = &grant.target().change else {
        panic!("an update replaces");
    };
    assert_eq!(remove.iter().map(|f| f.0).collect::<Vec<_>>(), [3, 5]);
    assert!(grant.target().values.is_empty());
}

#[test]
fn a_write_is_refused_with_the_field_that_is_wrong_and_not_with_its_value() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let json = |text: &str| Value::Json(crate::secret::SecretText::new(text.to_owned()));
    for (field, value, rule) in [
        ("name", Value::Int64(4), "kind string"),
        ("name", Value::text("Mustermann!"), "10 bytes"),
        ("name", Value::text("a\0b"), "NUL"),
        ("data", json(&deep), "32 deep"),
        ("data", json("{\"a\": Mustermann}"), "JSON"),
        (
            "nose",
            Value::text("Mustermann"),
            "field of record type person",
        ),
    ] {
        let violations = invalid(put(&now, "clerk", vec![(field, value)]));
        assert_eq!(violations[0].0, format!("fields.{field}"));
        assert!(violations[0].1.contains(rule), "{violations:?}");
        assert!(!format!("{violations:?}").contains("Mustermann"));
    }
    let misplaced = invalid(put(&now, "clerk", vec![("Mustermann", Value::text("x"))]));
    assert_eq!(misplaced[0].0, "fields");
    let both = vec![("name", Value::text("a")), ("name", Value::text("b"))];
    assert_eq!(invalid(put(&now, "clerk", both))[0].0, "fields.name");
}

#[test]
fn an_update_changes_exactly_what_its_mask_names() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    let name = || vec![("name", Value::text("x"))];
    let grant = write(&now, "clerk", name(), Some(&["phone", "name"]));
    let grant = grant.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(grant.action(), Action::UpdateRecord);
    assert_eq!(grant.target().values.len(), 1);
    let Change::Update { remove } = &grant.target().change else {
        panic!("an update replaces");
    };
    assert_eq!(remove.iter().map(|f| f.0).collect::<Vec<_>>(), [2]);
    let places = |result| {
        invalid(result)
            .into_iter()
            .map(|(field, _)| field)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        places(write(&now, "clerk", name(), Some(&[]))),
        ["update_mask"]
    );
    assert_eq!(
        places(write(&now, "clerk", name(), Some(&["phone"]))),
        ["fields.name"]
    );
    assert_eq!(
        places(write(&now, "clerk", name(), Some(&["*"]))),
        ["update_mask.paths[0]"]
    );
}

#[test]
fn what_is_wrong_with_a_value_is_told_only_to_those_who_may_write_it() {
    let rules = rules(POLICY);
    let now = rules.access.now();
    let denied = denial(put(
        &now,
        "nurse",
        vec![("name", Value::text("far too long"))],
    ));
    assert_eq!((denied.rule, denied.field), (Rule::Policy, None));
    let health = vec![("name", Value::text("x")), ("health", Value::Int64(1))];
    let denied = denial(put(&now, "clerk", health));
    assert_eq!(denied.field.as_ref().map(|f| f.as_str()), Some("health"));
    assert_eq!(denied.policies, ["no-health"]);
}
