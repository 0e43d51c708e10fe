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
    fn addresses_carry_any_text() {
        assert_eq!(
            address("/runs", &[("q", "a&b=ü %"), ("state", "")]),
            "/runs?q=a%26b%3D%C3%BC%20%25"
        );
        assert_eq!(address("/runs", &[("q", "")]), "/runs");
    }
}
