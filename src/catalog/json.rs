//! Checks a JSON text without building anything from it.

use crate::limits;

/// Whether `text` is one JSON text (RFC 8259) nested at most
/// `limits::JSON_DEPTH` deep. Depth is counted before anything recurses.
pub fn is_bounded_json(text: &str) -> bool {
    depth(text) <= limits::JSON_DEPTH && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The deepest nesting of brackets outside strings. For a text that is not
/// JSON it is at least as deep as a parser would go before it stops.
fn depth(text: &str) -> usize {
    let (mut now, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        if in_string {
            (in_string, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_accepted_up_to_the_depth_and_refused_beyond() {
        let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert!(is_bounded_json(&nested(limits::JSON_DEPTH)));
        assert!(!is_bounded_json(&nested(limits::JSON_DEPTH + 1)));
        assert!(!is_bounded_json(&"[".repeat(1 << 20)));
        assert!(!is_bounded_json(&"{\"a\":".repeat(100_000)));
    }

    #[test]
    fn brackets_inside_strings_are_not_nesting() {
        let text = format!("{{\"a\\\"\\\\\":\"{}\"}}", "[".repeat(100));
        assert!(is_bounded_json(&text));
        assert_eq!(depth("[\"\\\\\",[[\"\\\"[\"]]]"), 3);
    }

    #[test]
    fn what_is_not_one_json_text_is_refused() {
        for bad in ["", "{", "[1,]", "nul", "1 2", "{\"a\" 1}", "'a'", "]["] {
            assert!(!is_bounded_json(bad), "{bad}");
        }
        for good in ["null", " {\"a\":[1e3,\"\\u00e9\"]} ", "\"\""] {
            assert!(is_bounded_json(good), "{good}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\a1 ]{0,200}") {
            if is_bounded_json(&text) {
                assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
