//! What is left of a text under a mask. The number of stars is fixed, so that
//! it says nothing of the length.

use super::derive::email_parts;

const HIDDEN: &str = "****";
/// Fewer letters and digits than this show nothing.
const LAST4_NEEDS: usize = 8;
const INITIALS: usize = 4;

/// The last four letters or digits, if there are at least eight.
pub(super) fn last4(text: &str) -> String {
    let mut from_end = text.chars().rev().filter(|c| c.is_alphanumeric());
    let mut shown: Vec<char> = from_end.by_ref().take(4).collect();
    if from_end.count() + shown.len() < LAST4_NEEDS {
        return HIDDEN.to_owned();
    }
    shown.reverse();
    HIDDEN.chars().chain(shown).collect()
}

/// The first letters of at most four words.
pub(super) fn initials(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c == '-');
    let words = words.filter(|word| !word.is_empty()).take(INITIALS);
    words.map(|word| initial(word) + ".").collect()
}

fn initial(word: &str) -> String {
    let mut letters = word.chars().filter(|c| c.is_alphanumeric());
    match (letters.next(), letters.next()) {
        (Some(first), Some(_)) => first.to_uppercase().take(1).collect(),
        _ => "*".to_owned(),
    }
}

/// The first letter of an e-mail address's local part, and its domain.
pub(super) fn email(text: &str) -> String {
    let Some((local, domain)) = email_parts(text) else {
        return String::new();
    };
    let mut letters = local.chars().filter(|c| c.is_alphanumeric());
    let first = match (letters.next(), letters.next()) {
        (Some(first), Some(_)) => String::from(first),
        _ => String::new(),
    };
    format!("{first}***@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last4_never_shows_a_short_value() {
        for short in ["", "1", "1234", "12-34", "1234567", "😀😀😀😀😀😀😀😀"] {
            assert_eq!(last4(short), "****", "{short}");
        }
        assert_eq!(last4("12345678"), "****5678");
        assert_eq!(last4("+44 20 7946-0958"), "****0958");
        assert_eq!(last4("०१२३४५६७"), "****४५६७");
    }

    #[test]
    fn initials_work_beyond_ascii_and_never_show_a_whole_word() {
        for (name, wanted) in [
            ("Ada Lovelace", "A.L."),
            ("øyvind åsen", "Ø.Å."),
            ("Jean-Luc", "J.L."),
            ("Łukasz", "Ł."),
            ("李小龙", "李."),
            ("李", "*."),
            ("J R", "*.*."),
            ("ßtrange", "S."),
            ("Ольга", "О."),
            ("محمد علي", "م.ع."),
            ("one two three four five", "O.T.T.F."),
            ("  ", ""),
            ("", ""),
            ("😀 x", "*.*."),
        ] {
            assert_eq!(initials(name), wanted, "{name}");
        }
    }

    #[test]
    fn a_masked_address_hides_the_local_part() {
        assert_eq!(email("ada.l@mail.example"), "a***@mail.example");
        assert_eq!(email("a@mail.example"), "***@mail.example");
        assert_eq!(email(".a.@mail.example"), "***@mail.example");
        assert_eq!(email("élise@mail.example"), "é***@mail.example");
        assert_eq!(email("not an address"), "");
        assert_eq!(email(""), "");
    }
    fn known(text: &str) -> usize {
        text.chars().filter(|c| c.is_alphanumeric()).count()
    }

    proptest::proptest! {
        #[test]
        fn no_mask_shows_every_letter(text in "\\PC{0,12}", digits in "[0-9 -]{1,12}") {
            for text in [text, digits] {
                for masked in [last4(&text), initials(&text)] {
                    assert!(known(&masked) < known(&text).max(1), "{text:?}: {masked:?}");
                }
            }
        }

        #[test]
        fn no_masked_address_shows_its_whole_local_part(local in "[a-z0-9.+é]{1,6}") {
            let masked = email(&format!("{local}@x.example"));
            let shown = masked.strip_suffix("***@x.example").unwrap();
            assert!(known(shown) < known(&local).max(1), "{local}: {masked}");
        }
    }
}
