//! What a person may prefer, each a cookie with one of a few values.

/// One preference; its first value is the default.
#[derive(Debug)]
pub(in crate::server::pages) struct Preference {
    /// Of the cookie, and of the attribute `data-…` of the page.
    pub(in crate::server::pages) name: &'static str,
    pub(in crate::server::pages) title: &'static str,
    pub(in crate::server::pages) help: &'static str,
    /// Value and what people call it.
    pub(in crate::server::pages) choices: &'static [(&'static str, &'static str)],
}

pub(in crate::server::pages) static ALL: [Preference; 3] = [
    Preference {
        name: "theme",
        title: "Theme",
        help: "Auto follows the system.",
        choices: &[
            ("auto", "Auto"),
            ("light", "Light"),
            ("dark", "Dark"),
            ("contrast", "High contrast"),
        ],
    },
    Preference {
        name: "palette",
        title: "Colours of curves and spaces",
        help: "Both can be told apart without red or green; in the second, image, text and teacher also differ in lightness.",
        choices: &[("okabe-ito", "Okabe–Ito"), ("lightness", "By lightness")],
    },
    Preference {
        name: "motion",
        title: "Motion",
        help: "Auto follows the system.",
        choices: &[("auto", "Auto"), ("reduce", "Reduced")],
    },
];

impl Preference {
    pub(in crate::server::pages) fn first(&self) -> &'static str {
        self.choices.first().map_or("", |choice| choice.0)
    }

    /// The value as it is known here; `None` for any other text.
    pub(in crate::server::pages) fn value(&self, text: &str) -> Option<&'static str> {
        let values = self.choices.iter().map(|choice| choice.0);
        values.into_iter().find(|value| *value == text)
    }

    /// The value in a cookie header, unless it is the default.
    pub(in crate::server::pages) fn in_cookies(&self, cookies: &str) -> Option<&'static str> {
        let pairs = cookies
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        let wanted = pairs.into_iter().find(|(name, _)| *name == self.name)?.1;
        self.value(wanted).filter(|value| *value != self.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_values_are_taken_from_cookies() {
        let [theme, palette, _] = &ALL;
        assert_eq!(theme.in_cookies("a=b; theme=dark"), Some("dark"));
        assert_eq!(theme.in_cookies("theme=auto"), None);
        assert_eq!(theme.in_cookies("theme=\"><script>"), None);
        assert_eq!(theme.in_cookies("a=b"), None);
        assert_eq!(
            palette.in_cookies("theme=dark; palette=lightness"),
            Some("lightness")
        );
    }
}
