//! What every page needs: the person's preferences, the current section, versioned assets and icons.

pub(super) mod preferences;

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::server::assets::asset_url;
use crate::server::layers::ReadOnly;

/// The frame around a page.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    /// Names and values of the preferences that are not at their default.
    chosen: Vec<(&'static str, &'static str)>,
    /// Link of the rail that is marked as current.
    pub(super) section: &'static str,
    /// Whether nothing may be changed.
    pub(super) read_only: bool,
}

impl Shell {
    pub(super) fn in_section(mut self, section: &'static str) -> Self {
        self.section = section;
        self
    }

    /// The value of a preference, unless it is the default.
    pub(super) fn preference(&self, name: &str) -> Option<&'static str> {
        let found = self.chosen.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    /// The preferences as attributes of the page; names and values are ours.
    pub(super) fn attributes(&self) -> String {
        let attribute = |(name, value): &(&str, &str)| format!(" data-{name}=\"{value}\"");
        let chosen = self.chosen.iter().map(attribute);
        chosen
            .chain(self.read_only.then(|| " data-read-only".to_owned()))
            .collect()
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

/// The value of a preference in the cookies of a request, unless it is the default.
pub(crate) fn chosen(headers: &HeaderMap, name: &str) -> Option<&'static str> {
    let preference = preferences::ALL.iter().find(|known| known.name == name)?;
    let cookies = headers.get_all(header::COOKIE);
    let mut texts = cookies.iter().filter_map(|value| value.to_str().ok());
    texts.find_map(|text| preference.in_cookies(text))
}

impl<S: Sync> FromRequestParts<S> for Shell {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let of = |preference: &preferences::Preference| {
            Some((preference.name, chosen(&parts.headers, preference.name)?))
        };
        Ok(Self {
            chosen: preferences::ALL.iter().filter_map(of).collect(),
            section: "",
            read_only: parts.extensions.get::<ReadOnly>().is_some(),
        })
    }
}
