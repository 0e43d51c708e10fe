//! Text cleaning before the BPE, in the order of the reference: repair (ftfy's default fixes), two
//! rounds of HTML unescaping, collapsed white space. Lower-casing is left to the encoder.

use std::borrow::Cow;

/// Names that HTML accepts without a semicolon and that occur in captions.
const LEGACY_ENTITIES: [(&str, char); 11] = [
    ("amp", '&'),
    ("AMP", '&'),
    ("lt", '<'),
    ("LT", '<'),
    ("gt", '>'),
    ("GT", '>'),
    ("quot", '"'),
    ("QUOT", '"'),
    ("nbsp", '\u{a0}'),
    ("copy", '©'),
    ("reg", '®'),
];

/// Cleans one caption.
pub(super) fn clean(text: &str) -> String {
    if is_plain(text) {
        return collapse_white_space(text);
    }
    let fixed = plsfix::fix_text(&strip_terminal_escapes(text), None);
    let once = unescape_legacy(&fixed);
    collapse_white_space(&unescape_legacy(&once))
}

/// Whether none of the fixes can apply, which holds for most captions and saves their cost.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n') && b != b'&')
}

fn collapse_white_space(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.push_str(word);
    }
    clean
}

/// Removes `ESC [ parameters letter`; `plsfix` documents this step but does not perform it.
fn strip_terminal_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains("\u{1b}[") {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split("\u{1b}[");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match rest.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            Some(after) => kept.push_str(after),
            None => {
                kept.push_str("\u{1b}[");
                kept.push_str(part);
            }
        }
    }
    Cow::Owned(kept)
}

/// Unescapes what HTML accepts without a semicolon: numbers and the commonest names. `plsfix` has
/// handled every reference that ends in one.
fn unescape_legacy(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split('&');
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match reference(part) {
            Some((character, rest)) => {
                clean.push(character);
                clean.push_str(rest.strip_prefix(';').unwrap_or(rest));
            }
            None => {
                clean.push('&');
                clean.push_str(part);
            }
        }
    }
    Cow::Owned(clean)
}

/// The character that `text` (after an ampersand) begins with, and what follows it.
fn reference(text: &str) -> Option<(char, &str)> {
    if let Some(number) = text.strip_prefix('#') {
        return numeric(number);
    }
    LEGACY_ENTITIES
        .iter()
        .find_map(|&(name, character)| Some((character, text.strip_prefix(name)?)))
}

fn numeric(text: &str) -> Option<(char, &str)> {
    let (digits, radix) = match text.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => (hexadecimal, 16),
        None => (text, 10),
    };
    let end = digits
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(digits.len());
    let code = u32::from_str_radix(&digits[..end], radix).ok()?;
    let character = char::from_u32(code).filter(|&c| c != '\0')?;
    Some((character, &digits[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mojibake_escapes_and_white_space_are_repaired() {
        assert_eq!(clean("schÃ¶n  donâ€™t\n"), "schön don't");
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m x"), "red x");
        assert_eq!(clean("&amp;lt;b&amp;gt; &#39;"), "<b> '");
        assert_eq!(clean(" two\twords "), "two words");
    }

    #[test]
    fn references_without_semicolon_are_understood() {
        assert_eq!(clean("AT&ampT &#65 &#x42 &lt3"), "AT&T A B <3");
        assert_eq!(
            clean("fish & chips &unknown &#xffffffff"),
            "fish & chips &unknown &#xffffffff"
        );
    }

    #[test]
    fn an_unfinished_terminal_escape_stays() {
        assert_eq!(strip_terminal_escapes("a\u{1b}[31"), "a\u{1b}[31");
    }
}
