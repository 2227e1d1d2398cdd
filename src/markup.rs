//! Text in a page or a picture: what somebody said is text and never markup
//! (HTML, and SVG within it).

use std::fmt::Write;

/// Adds text to a page, in an element or in a quoted attribute.
pub fn text(page: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            c if c.is_control() && c != '\n' => {
                // Writing to a String does not fail.
                let _ = write!(page, "\\u{{{:x}}}", u32::from(c));
            }
            c => page.push(c),
        }
    }
}

/// The same, by itself.
pub fn escaped(of: &str) -> String {
    let mut escaped = String::with_capacity(of.len());
    text(&mut escaped, of);
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_said_is_never_markup() {
        assert_eq!(
            escaped("<script>alert(\"1\" & '2')</script>\u{1b}[2J"),
            "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;\\u{1b}[2J"
        );
    }
}
