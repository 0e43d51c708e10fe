//! Which pairs are held out from training, as a rule that depends on nothing but the pair.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A rule written as `sha1:N` or `column:NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Holdout {
    /// `sha1:N`: a pair is held out when the SHA-1 of its key (the file name without folder and
    /// extension), read as a number, is a multiple of N; about one pair in N.
    Sha1 { one_in: u64 },
    /// `column:NAME=VALUE`: a pair is held out when its label column NAME holds VALUE.
    Column { name: String, value: String },
}

/// Why a text is no such rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} holds nothing out; write sha1:N for one pair in N by the hash of its key (N from 2 to 1000000), or column:NAME=VALUE for those with VALUE in label column NAME"
)]
pub struct HoldoutError(String);

impl FromStr for Holdout {
    type Err = HoldoutError;

    fn from_str(text: &str) -> Result<Self, HoldoutError> {
        const MOST: u64 = 1_000_000;
        let wrong = || HoldoutError(text.chars().take(80).collect());
        let (kind, rule) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "sha1" => {
                let one_in = rule.parse().map_err(|_| wrong())?;
                let fits = (2..=MOST).contains(&one_in);
                fits.then_some(Self::Sha1 { one_in }).ok_or_else(wrong)
            }
            "column" => {
                let (name, value) = rule.split_once('=').ok_or_else(wrong)?;
                Ok(Self::Column {
                    name: name.trim().to_owned(),
                    value: value.trim().to_owned(),
                })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Holdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha1 { one_in } => write!(f, "sha1:{one_in}"),
            Self::Column { name, value } => write!(f, "column:{name}={value}"),
        }
    }
}

impl TryFrom<String> for Holdout {
    type Error = HoldoutError;

    fn try_from(text: String) -> Result<Self, HoldoutError> {
        text.parse()
    }
}

impl From<Holdout> for String {
    fn from(holdout: Holdout) -> Self {
        holdout.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_and_others_say_what_to_write() {
        for text in ["sha1:10", "column:split=test", "column:split="] {
            assert_eq!(text.parse::<Holdout>().expect(text).to_string(), text);
        }
        for text in [
            "",
            "sha1",
            "sha1:",
            "sha1:1",
            "sha1:-3",
            "md5:10",
            "column:split",
        ] {
            let message = text.parse::<Holdout>().expect_err(text).to_string();
            assert!(message.contains("sha1:N"), "{message}");
        }
    }
}
