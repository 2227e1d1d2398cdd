//! What is computed from a value. Each is empty when the value does not have
//! the shape it needs.

use crate::clock::Instant;

/// The year of an instant, UTC.
pub(super) fn year(seconds: i64) -> Option<i64> {
    let micros = seconds.checked_mul(1_000_000)?;
    Some(Instant::from_micros(micros).day().civil().0.into())
}

/// The band that an age in whole years is in.
pub(super) fn age_band(age: i32) -> &'static str {
    match age {
        ..0 => "",
        0..18 => "0-17",
        18..25 => "18-24",
        25..35 => "25-34",
        35..45 => "35-44",
        45..55 => "45-54",
        55..65 => "55-64",
        65.. => "65+",
    }
}

/// The domain of an e-mail address, in lower case.
pub(super) fn email_domain(address: &str) -> String {
    email_parts(address).map_or_else(String::new, |(_, domain)| domain.to_lowercase())
}

/// Splits an e-mail address at its last `@`. The domain must look like one:
/// labels of letters, digits and `-` with a dot between them, at most 253
/// bytes (RFC 5321, RFC 6531 for letters beyond ASCII).
pub(super) fn email_parts(address: &str) -> Option<(&str, &str)> {
    let (local, domain) = address.trim().rsplit_once('@')?;
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let is_domain = domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label);
    (is_domain && !local.is_empty()).then_some((local, domain))
}

/// The last part of an address after a comma, without words that have digits
/// in them: `12 High St, London SW1A 1AA` gives `London`. An address without a
/// comma gives nothing, since its street could not be told from its city.
pub(super) fn city_of_address(address: &str) -> String {
    let Some((_, last)) = address.rsplit_once([',', '、', '，', '،', '\n']) else {
        return String::new();
    };
    let has_digit = |word: &str| word.chars().any(char::is_numeric);
    let words: Vec<_> = last.split_whitespace().filter(|w| !has_digit(w)).collect();
    words.join(" ")
}

/// The first half of a postal code's letters and digits, at most three.
pub(super) fn postal_prefix(code: &str) -> String {
    let known: Vec<char> = code.chars().filter(|c| c.is_alphanumeric()).collect();
    let shown = (known.len() / 2).min(3);
    known
        .into_iter()
        .take(shown)
        .flat_map(char::to_uppercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_of_an_instant_is_utc() {
        assert_eq!(year(-1), Some(1969));
        assert_eq!(year(0), Some(1970));
        assert_eq!(year(253_402_300_799), Some(9999));
        assert_eq!(year(-62_135_596_800), Some(1));
        assert_eq!(year(i64::MAX), None);
    }

    #[test]
    fn bands_begin_and_end_where_they_say() {
        let edges = [
            (0, "0-17"),
            (17, "0-17"),
            (18, "18-24"),
            (24, "18-24"),
            (25, "25-34"),
        ];
        let later = [
            (34, "25-34"),
            (35, "35-44"),
            (54, "45-54"),
            (64, "55-64"),
            (65, "65+"),
        ];
        for (age, band) in edges
            .into_iter()
            .chain(later)
            .chain([(-1, ""), (130, "65+")])
        {
            assert_eq!(age_band(age), band, "{age}");
        }
    }

    #[test]
    fn a_domain_is_taken_only_from_what_looks_like_an_address() {
        assert_eq!(email_domain(" Ada@Mail.Example.ORG "), "mail.example.org");
        assert_eq!(email_domain("\"a@b\"@x.example"), "x.example");
        assert_eq!(email_domain("用户@例子.广告"), "例子.广告");
        for bad in [
            "",
            "ada",
            "@x.example",
            "ada@",
            "ada@host",
            "a@b c.d",
            "a@.x",
            "a@x..y",
        ] {
            assert_eq!(email_domain(bad), "", "{bad}");
        }
        assert_eq!(email_domain(&format!("a@{}.x", "b".repeat(300))), "");
    }

    #[test]
    fn a_city_comes_without_street_and_postal_code() {
        assert_eq!(city_of_address("12 High St, London SW1A 1AA"), "London");
        assert_eq!(city_of_address("5 rue X, 69001 Lyon"), "Lyon");
        assert_eq!(city_of_address("Calle 1\n28013 San Juan"), "San Juan");
        assert_eq!(city_of_address("12 High St London"), "");
        assert_eq!(city_of_address("12 High St, "), "");
        assert_eq!(city_of_address(""), "");
    }

    #[test]
    fn a_postal_prefix_is_never_the_whole_code() {
        for (code, prefix) in [
            ("75001", "75"),
            ("sw1a 1aa", "SW1"),
            ("100-0001", "100"),
            ("12", "1"),
            ("7", ""),
            ("", ""),
            ("１００", "１"),
        ] {
            assert_eq!(postal_prefix(code), prefix, "{code}");
        }
    }
}
