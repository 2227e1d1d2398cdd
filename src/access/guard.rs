//! Looks a policy file over before it is parsed. The parser recurses, and a
//! few hundred brackets would overflow its stack and end the process, so
//! nesting and size are counted first, in one pass without recursion.

use crate::limits;

/// One policy of a file, not yet parsed.
pub(super) struct PolicyText<'a> {
    /// The line it begins on, from 1.
    pub line: usize,
    /// From its first sign to its `;`.
    pub text: &'a str,
}

/// A refusal: the line and the rule.
pub(super) type Refused = (usize, String);

struct Scan<'a> {
    policies: Vec<PolicyText<'a>>,
    line: usize,
    /// Where the policy under way begins: line and byte.
    begun: Option<(usize, usize)>,
    depth: usize,
    tokens: usize,
    ifs: usize,
    /// `!` and `-` in a row.
    signs: usize,
}

/// Splits a file into its policies, each within the limits on nesting
/// (`POLICY_DEPTH` brackets, as many `if`, as many `!` or `-` in a row) and on size
/// (`POLICY_TOKENS`), and at most `POLICIES` of them.
pub(super) fn split(text: &str) -> Result<Vec<PolicyText<'_>>, Refused> {
    let mut scan = Scan {
        policies: Vec::new(),
        line: 1,
        begun: None,
        depth: 0,
        tokens: 0,
        ifs: 0,
        signs: 0,
    };
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let at = text.len() - rest.len();
        let (token, after) = rest.split_at(token_length(rest, first));
        let is_blank = first.is_whitespace() || token.starts_with("//");
        if !is_blank {
            scan.token(text, at, token)?;
        }
        scan.line += token.bytes().filter(|b| *b == b'\n').count();
        rest = after;
    }
    match scan.begun {
        Some((line, _)) => Err((line, "the policy does not end with ;".to_owned())),
        None => Ok(scan.policies),
    }
}

/// Bytes of the first token of `rest`: a comment, a text in quotes, a word, or
/// one sign.
fn token_length(rest: &str, first: char) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if first == '"' {
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            if c == '"' && !escaped {
                return at + 1;
            }
            escaped = c == '\\' && !escaped;
        }
        return rest.len();
    }
    if is_word(first) {
        return rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    }
    first.len_utf8()
}

impl<'a> Scan<'a> {
    fn token(&mut self, text: &'a str, at: usize, token: &str) -> Result<(), Refused> {
        let (line, begun) = *self.begun.get_or_insert((self.line, at));
        let refuse = |what: String| Err((line, what));
        self.tokens += 1;
        self.signs = if matches!(token, "!" | "-") {
            self.signs + 1
        } else {
            0
        };
        match token {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.saturating_sub(1),
            "if" => self.ifs += 1,
            _ => {}
        }
        if self.depth.max(self.ifs).max(self.signs) > limits::POLICY_DEPTH {
            return refuse(format!(
                "the policy is nested more than {} deep; write it flatter or as several",
                limits::POLICY_DEPTH
            ));
        }
        if self.tokens > limits::POLICY_TOKENS {
            return refuse(format!(
                "the policy has more than {} words and signs; split it",
                limits::POLICY_TOKENS
            ));
        }
        if token == ";" && self.depth == 0 {
            let text = text.get(begun..=at).unwrap_or_default();
            self.policies.push(PolicyText { line, text });
            (self.begun, self.tokens, self.ifs) = (None, 0, 0);
            if self.policies.len() > limits::POLICIES {
                return refuse(format!("there are more than {} policies", limits::POLICIES));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<(usize, &str)> {
        let policies = split(file).map_err(|(line, why)| format!("{line}: {why}"));
        policies.unwrap().iter().map(|p| (p.line, p.text)).collect()
    }

    #[test]
    fn a_file_is_split_at_the_ends_of_its_policies() {
        let file = "// a; comment (\n\n@id(\"a;\\\"b(((\")\npermit(x);\n forbid( y ) // ;\n;";
        let wanted = [
            (3, "@id(\"a;\\\"b(((\")\npermit(x);"),
            (5, "forbid( y ) // ;\n;"),
        ];
        assert_eq!(texts(file), wanted);
        assert!(texts("").is_empty());
        assert!(texts("// nothing").is_empty());
    }

    #[test]
    fn nesting_is_refused_whatever_it_is_made_of() {
        let deep = limits::POLICY_DEPTH + 1;
        for open in ["(", "[", "{", "(\n[ "] {
            assert!(split(&format!("\n{}", open.repeat(deep))).is_err_and(|(line, _)| line == 2));
        }
        assert!(split(&"if a then b else ".repeat(deep)).is_err());
        assert!(split(&"!".repeat(limits::POLICY_TOKENS + 1)).is_err());
        assert!(split(&"a && ".repeat(limits::POLICY_TOKENS)).is_err());
    }

    #[test]
    fn a_policy_without_an_end_and_too_many_policies_are_refused() {
        assert!(split("permit(x)").is_err());
        assert!(split("\"never closed").is_err());
        assert!(split(&"p;".repeat(limits::POLICIES)).is_ok());
        assert!(split(&"p;".repeat(limits::POLICIES + 1)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_lost_between_policies(text in "[a-z()\\[\\]{}\"\\\\/;!\n é-]{0,200}") {
            if let Ok(policies) = split(&text) {
                let mut rest = text.as_str();
                for policy in policies {
                    assert!(policy.text.ends_with(';'));
                    rest = rest.split_once(policy.text).unwrap().1;
                }
                // What is left is blank or a comment.
                assert!(rest.lines().all(|l| l.trim().is_empty() || l.trim().starts_with("//")));
            }
        }
    }
}
