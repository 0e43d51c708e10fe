//! Addresses with a query string.

/// `path` with the pairs as its query; empty values are left out.
pub(super) fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let given = pairs.iter().filter(|(_, value)| !value.is_empty());
    let parts: Vec<String> = given
        .map(|(key, value)| format!("{key}={}", percent(value)))
        .collect();
    if parts.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", parts.join("&"))
    }
}

/// Named values with some of them replaced; what is not among them is added.
pub(super) fn replaced<'a>(
    own: &[(&'a str, &'a String)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let kept = own
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .filter(|(key, _)| !changes.iter().any(|(changed, _)| changed == key));
    kept.chain(changes.iter().copied()).collect()
}

/// Everything but unreserved characters as `%XX`.
pub(super) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_values_come_once() {
        let (step, sort) = ("3".to_owned(), "size".to_owned());
        let own = [("step", &step), ("sort", &sort)];
        assert_eq!(
            replaced(&own, &[("step", "9"), ("offset", "48")]),
            [("sort", "size"), ("step", "9"), ("offset", "48")]
        );
    }

    #[test]
    fn addresses_carry_any_text() {
        assert_eq!(
            address("/runs", &[("q", "a&b=ü %"), ("state", "")]),
            "/runs?q=a%26b%3D%C3%BC%20%25"
        );
        assert_eq!(address("/runs", &[("q", "")]), "/runs");
    }
}
