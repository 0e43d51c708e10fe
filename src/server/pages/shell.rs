//! What every page needs: the theme, the current section, versioned assets and icons.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use crate::server::assets::asset_url;

/// The frame around a page.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    /// `light`, `dark` or `contrast`; absent follows the system.
    pub(super) theme: Option<&'static str>,
    /// Link of the rail that is marked as current.
    pub(super) section: &'static str,
}

const THEMES: [&str; 3] = ["light", "dark", "contrast"];

impl Shell {
    pub(super) fn in_section(mut self, section: &'static str) -> Self {
        self.section = section;
        self
    }

    /// URL of a file of `static/`, with the hash that makes it cacheable for ever.
    pub(super) fn asset(&self, path: &str) -> String {
        asset_url(path)
    }

    /// An icon of the sprite, hidden from assistive technology: words stand beside it.
    pub(super) fn icon(&self, name: &str) -> String {
        let sprite = asset_url("icons/lucide.svg");
        format!(
            r##"<svg class="icon" aria-hidden="true" focusable="false"><use href="{sprite}#{name}"/></svg>"##
        )
    }
}

impl<S: Sync> FromRequestParts<S> for Shell {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let cookies = parts.headers.get_all(header::COOKIE);
        let theme = cookies
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(theme_of);
        Ok(Self { theme, section: "" })
    }
}

fn theme_of(cookies: &str) -> Option<&'static str> {
    let wanted = cookies
        .split(';')
        .find_map(|pair| pair.trim().strip_prefix("theme="))?;
    THEMES.into_iter().find(|theme| *theme == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_themes_are_taken_from_the_cookie() {
        assert_eq!(theme_of("a=b; theme=dark"), Some("dark"));
        assert_eq!(theme_of("theme=auto"), None);
        assert_eq!(theme_of("theme=\"><script>"), None);
        assert_eq!(theme_of("a=b"), None);
    }
}
