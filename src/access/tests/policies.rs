//! What must hold of a policy file, above all of a bad one.

use super::*;

#[test]
fn a_policy_that_fails_denies_even_if_it_is_a_forbid() {
    let overflow = "9223372036854775807 + 1 > 0";
    for (effect, condition) in [("forbid", overflow), ("permit", overflow)] {
        let policy = format!(
            "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n\
             @id(\"fails\") {effect} (principal, action, resource) when {{ {condition} }};"
        );
        let rules = rules(&policy);
        let denied = denial(read(&rules.access.now(), "care", &["name"], ALL));
        assert_eq!(denied.rule, Rule::PolicyError, "{effect}");
        assert_eq!(denied.policies, ["fails"]);
    }
}

#[test]
fn a_deeply_nested_policy_is_refused_and_the_process_lives() {
    let with = |condition: &str| {
        format!("\n@id(\"deep\")\npermit (principal, action, resource) when {{ {condition} }};")
    };
    for depth in [17, 128, 5_000, 20_000] {
        let nested = [
            format!("{}true{}", "(".repeat(depth), ")".repeat(depth)),
            format!("{}1{} == [1]", "[".repeat(depth), "]".repeat(depth)),
            format!(
                "{}true{}",
                "if true then ".repeat(depth),
                " else false".repeat(depth)
            ),
            "!".repeat(depth * 10) + "true",
            format!("{}true", "{a: ".repeat(depth)),
            format!("{}true", "true && ".repeat((depth * 40).min(100_000))),
        ];
        for condition in nested {
            let what = refused(&with(&condition));
            let shown: String = what.chars().take(200).collect();
            assert!(what.contains("policy.cedar:2:"), "{shown}");
        }
    }
}

#[test]
fn the_largest_policy_that_is_accepted_is_also_evaluated() {
    let half = crate::limits::POLICY_TOKENS / 2;
    let long = "true && ".repeat(half / 2 - 20);
    let sum = "1 + ".repeat(half / 2 - 20);
    let depth = crate::limits::POLICY_DEPTH - 4;
    let deep = format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    let ifs = format!(
        "{}true{}",
        "if true then ".repeat(depth),
        " else false".repeat(depth)
    );
    for condition in [format!("{long} true"), format!("{sum} 1 > 0"), deep, ifs] {
        let policy =
            format!("@id(\"big\") permit (principal, action, resource) when {{ {condition} }};");
        let rules = rules(&policy);
        assert!(read(&rules.access.now(), "care", &["name"], ALL).is_ok());
    }
}

#[test]
fn a_policy_with_a_slip_in_it_is_refused_with_its_line() {
    let at = |line: usize, policy: &str, wanted: &str| {
        let what = refused(policy);
        assert!(what.contains(&format!("policy.cedar:{line}:")), "{what}");
        assert!(what.contains(wanted), "{what}");
    };
    let good = "@id(\"a\") permit (principal, action, resource);\n";
    at(1, "permit (principal, action, resource);", "@id");
    at(
        1,
        "@id(\"A B\") permit (principal, action, resource);",
        "@id",
    );
    at(2, &good.repeat(2), "taken");
    at(
        2,
        &format!("{good}@id(\"b\") permit (principal, action);"),
        "Cedar",
    );
    at(2, &format!("{good}permit"), ";");
    let when =
        |c: &str| format!("{good}@id(\"b\") forbid (principal, action, resource) when {{ {c} }};");
    at(2, &when("context.purpos == \"care\""), "purpos");
    at(2, &when("context.purpose == 1"), "b");
    at(2, &when("principal in Role::\"nobody\""), "Role");
    at(2, &when("resource == RecordType::\"robot\""), "RecordType");
    at(
        2,
        &when("principal == Principal::\"a/nobody\""),
        "Principal",
    );
    at(2, &when("false"), "b");
    let action = "@id(\"b\") forbid (principal, action == Action::\"raed\", resource);";
    at(2, &format!("{good}{action}"), "raed");
    at(
        1,
        "@id(\"b\") permit (principal == ?principal, action, resource);",
        "Cedar",
    );
}
