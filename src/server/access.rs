//! Who may use the server, and whether it may be changed at all.
//!
//! A server that others can reach asks for a token. A browser gives it once, in the address, and has
//! a cookie from then on; programs send it with every request. What is kept of either is a hash:
//! comparing two takes the same time wherever they differ.

use std::fmt;

use axum::http::{HeaderMap, header};

/// Fewest characters of a token that a person chose.
const SHORTEST_TOKEN: usize = 16;

/// What visitors must know: characters that need no escaping in an address.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token that somebody chose.
    ///
    /// # Errors
    /// When it is too short or has characters that an address would have to escape.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        if text.len() < SHORTEST_TOKEN || !text.chars().all(plain) {
            return Err(format!(
                "a token has at least {SHORTEST_TOKEN} characters out of A-Z a-z 0-9 - . _ ~; \
                 `openssl rand -hex 16` makes one"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// A new one of 128 random bits.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        Ok(Self(random_hex::<16>()?))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Rules of one run of the server.
#[derive(Debug, Default)]
pub struct Access {
    lock: Option<Lock>,
    read_only: bool,
}

impl Access {
    /// Everybody who reaches the server may use it.
    pub fn open() -> Self {
        Self::default()
    }

    /// Only who knows the token. `port` tells its cookie from that of another server on this host.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn with_token(token: &Token, port: u16) -> Result<Self, getrandom::Error> {
        let session = random_hex::<32>()?;
        let lock = Lock {
            token: blake3::hash(token.0.as_bytes()),
            session_hash: blake3::hash(session.as_bytes()),
            session,
            cookie: format!("protoclip-session-{port}"),
        };
        Ok(Self {
            lock: Some(lock),
            read_only: false,
        })
    }

    /// With `true`, nobody may change anything.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(super) fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }
}

/// What opens a server with a token.
pub(super) struct Lock {
    token: blake3::Hash,
    /// Value of the cookie; another at each start.
    session: String,
    session_hash: blake3::Hash,
    cookie: String,
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock(…)")
    }
}

impl Lock {
    pub(super) fn takes_token(&self, token: &str) -> bool {
        blake3::hash(token.as_bytes()) == self.token
    }

    /// Whether a request brings the cookie or the token.
    pub(super) fn takes(&self, headers: &HeaderMap) -> bool {
        let authorization = headers.get(header::AUTHORIZATION);
        let bearer = authorization.and_then(|value| bearer_token(value.to_str().ok()?));
        if let Some(token) = bearer {
            return self.takes_token(token);
        }
        let cookies = headers.get_all(header::COOKIE).iter();
        cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| {
                name == self.cookie && blake3::hash(value.as_bytes()) == self.session_hash
            })
    }

    /// The `Set-Cookie` of somebody who gave the token: out of reach of scripts and of other sites.
    pub(super) fn set_cookie(&self) -> String {
        format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie, self.session
        )
    }
}

fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start())
}

fn random_hex<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a value"))])
    }

    #[test]
    fn short_and_odd_tokens_are_refused() {
        for text in [
            "",
            "0123456789abcde",
            "0123456789abcdef&",
            "0123456789abcdeß",
        ] {
            assert!(Token::parse(text).is_err(), "{text}");
        }
        assert!(Token::parse("0123456789abcdef").is_ok());
    }

    #[test]
    fn tokens_and_sessions_differ_at_each_start() {
        let token = Token::generate().expect("random");
        assert_ne!(token, Token::generate().expect("random"));
        assert_eq!(Token::parse(token.as_str()), Ok(token.clone()));
        let access = || Access::with_token(&token, 80).expect("random");
        let (first, second) = (access(), access());
        let cookie = |access: &Access| access.lock().expect("locked").set_cookie();
        assert_ne!(cookie(&first), cookie(&second));
        let kept = cookie(&first);
        let kept = headers(header::COOKIE, kept.split(';').next().expect("a pair"));
        assert!(first.lock().expect("locked").takes(&kept));
        assert!(!second.lock().expect("locked").takes(&kept));
    }

    #[test]
    fn a_bearer_is_taken_in_any_case_and_only_whole() {
        let token = Token::parse("0123456789abcdef").expect("long");
        let access = Access::with_token(&token, 80).expect("random");
        let takes = |value: &str| {
            let lock = access.lock().expect("locked");
            lock.takes(&headers(header::AUTHORIZATION, value))
        };
        assert!(takes("Bearer 0123456789abcdef") && takes("bearer 0123456789abcdef"));
        for wrong in [
            "0123456789abcdef",
            "Basic 0123456789abcdef",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeff",
            "Bearer ",
        ] {
            assert!(!takes(wrong), "{wrong}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let token = Token::parse("0123456789abcdef").expect("long");
        let access = Access::with_token(&token, 80).expect("random");
        let text = format!("{token:?} {access:?}");
        assert!(!text.contains("0123"), "{text}");
    }
}
