//! What storage or the network said, as an error that names the fix. The text of answers is not taken
//! over: it may hold what was signed.

use std::error::Error as _;

use object_store::Error;
use protoclip::data::ObjectError;

/// Turns errors of the client into those of the data set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) has_credentials: bool,
}

const CHECK_RIGHTS: &str = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and what they may read; for a public bucket set AWS_SKIP_SIGNATURE=true";

impl Failure {
    pub(super) fn of(self, error: &Error) -> ObjectError {
        let answer = Answer::of(error);
        match error {
            Error::NotFound { .. } => ObjectError::Absent(match answer.code.as_deref() {
                Some("NoSuchBucket") => "there is no such bucket".into(),
                Some(_) => "there is no such object".into(),
                // A HEAD has no text.
                None => "there is no such object or bucket".into(),
            }),
            Error::Precondition { .. } => ObjectError::Changed,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => self.denied(&answer),
            Error::InvalidPath { source } => ObjectError::Absent(source.to_string()),
            _ if answer.is_redirect => ObjectError::Denied(
                "storage sends us elsewhere; set AWS_REGION to the region of the bucket, or AWS_ENDPOINT_URL".into(),
            ),
            _ => match answer.status {
                Some(404) => ObjectError::Absent("there is no such bucket or object".into()),
                Some(412 | 416) => ObjectError::Changed,
                Some(400..=499) => self.denied(&answer),
                Some(status) => unreachable(&format!("storage answers {}", answer.text(status))),
                None if !self.has_credentials && answer.asked_for_a_role => {
                    ObjectError::Denied(format!("there are no credentials; {CHECK_RIGHTS}"))
                }
                None => unreachable(&answer.cause),
            },
        }
    }

    /// The same for a range; one behind the end of an object in any state is empty.
    pub(super) fn of_read(self, error: &Error, in_one_state: bool) -> Result<Vec<u8>, ObjectError> {
        match Answer::of(error).status {
            Some(416) if !in_one_state => Ok(Vec::new()),
            _ => Err(self.of(error)),
        }
    }

    fn denied(self, answer: &Answer) -> ObjectError {
        let said = answer.text(answer.status.unwrap_or(403));
        let why = match self.has_credentials {
            true => "",
            false => ", and there are no credentials",
        };
        ObjectError::Denied(format!("storage answers {said}{why}; {CHECK_RIGHTS}"))
    }
}

pub(super) fn unreachable(cause: &str) -> ObjectError {
    ObjectError::Unreachable(format!(
        "cannot be reached now: {cause}; check the network and AWS_ENDPOINT_URL, then try again or resume the run"
    ))
}

/// What is wrong with the settings of a client.
pub(super) fn setting(error: &Error) -> String {
    let cause = Answer::of(error).cause;
    format!(
        "{cause}; check AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
}

/// What is taken of an error: numbers, a short code, and the innermost cause.
#[derive(Debug, Default)]
struct Answer {
    status: Option<u16>,
    code: Option<String>,
    is_redirect: bool,
    /// Whether the address was asked where machines of AWS find their role.
    asked_for_a_role: bool,
    cause: String,
}

impl Answer {
    fn of(error: &Error) -> Self {
        let mut all = error.to_string();
        let (mut cause, mut inner) = (error.to_string(), error.source());
        while let Some(error) = inner {
            cause = error.to_string();
            all.push('\n');
            all.push_str(&cause);
            inner = error.source();
        }
        let status = between(&all, "status code: ", |c| !c.is_ascii_digit());
        let code = between(&all, "<Code>", |c| !c.is_ascii_alphanumeric());
        Self {
            status: status.and_then(|digits| digits.parse().ok()),
            code: code.map(str::to_owned),
            is_redirect: all.contains("redirect"),
            asked_for_a_role: all.contains("169.254."),
            cause: match code {
                Some(code) => code.to_owned(),
                None => cause.chars().take(200).collect(),
            },
        }
    }

    fn text(&self, status: u16) -> String {
        match &self.code {
            Some(code) => format!("{status} ({code})"),
            None => status.to_string(),
        }
    }
}

/// What follows `begin` in a text, up to the first character that `ends` says.
fn between<'a>(text: &'a str, begin: &str, ends: impl Fn(char) -> bool) -> Option<&'a str> {
    let start = text.find(begin)? + begin.len();
    let rest = &text[start..];
    let end = rest.find(ends).unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_when_nothing_was_there_to_be_refused() {
        let said = |has_credentials| {
            let error = Error::Unauthenticated {
                path: "shards/0.tar".into(),
                source: "status code: 403, <Code>AccessDenied</Code>".into(),
            };
            match (Failure { has_credentials }).of(&error) {
                ObjectError::Denied(message) => message,
                other => panic!("{other:?}"),
            }
        };
        let anonymous = said(false);
        assert!(
            anonymous.contains("403 (AccessDenied), and there are no credentials"),
            "{anonymous}"
        );
        assert!(anonymous.contains("AWS_SKIP_SIGNATURE"), "{anonymous}");
        assert!(!said(true).contains("no credentials"));
    }
}
