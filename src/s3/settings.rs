//! The usual AWS variables, read once.

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};
use protoclip::data::{ObjectError, Patience};
use std::time::Duration;

use super::failure;

/// How buckets are reached: names as in the environment, `AWS_REGION`, with their values.
#[derive(Clone, Default)]
pub struct S3Settings(Vec<(AmazonS3ConfigKey, String)>);

/// Any of these says who asks; without one only a machine of AWS has a role to ask with.
const CREDENTIALS: [AmazonS3ConfigKey; 5] = [
    AmazonS3ConfigKey::AccessKeyId,
    AmazonS3ConfigKey::SkipSignature,
    AmazonS3ConfigKey::WebIdentityTokenFile,
    AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    AmazonS3ConfigKey::ContainerCredentialsFullUri,
];

impl S3Settings {
    /// What the environment says in variables that begin with `AWS_`.
    pub fn from_env() -> Self {
        let all = std::env::vars_os();
        Self::from_pairs(all.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// Those of `pairs` that begin with `AWS_` and mean something.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let known = pairs.into_iter().filter_map(|(name, value)| {
            let given = name.starts_with("AWS_") && !value.is_empty();
            let key = given.then(|| name.to_ascii_lowercase().parse().ok())??;
            Some((key, value))
        });
        Self(known.collect())
    }

    pub(super) fn has_credentials(&self) -> bool {
        CREDENTIALS.iter().any(|key| self.get(*key).is_some())
    }

    fn get(&self, key: AmazonS3ConfigKey) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| value.as_str())
    }

    /// A client of one bucket.
    ///
    /// # Errors
    /// When the settings do not fit together.
    pub(super) fn client(&self, bucket: &str, patience: Patience) -> Result<AmazonS3, ObjectError> {
        let endpoint = self.get(AmazonS3ConfigKey::S3Endpoint);
        let endpoint = endpoint.or_else(|| self.get(AmazonS3ConfigKey::Endpoint));
        let plain = endpoint.is_some_and(|url| url.to_ascii_lowercase().starts_with("http://"));
        let allowed = self.get(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
        if plain && !allowed.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(ObjectError::Denied(
                "the endpoint is plain http; set AWS_ALLOW_HTTP=true if that is meant, or give an https address".into(),
            ));
        }
        install_cryptography();
        let client = AmazonS3ConfigKey::Client;
        let (connect, silence, retry) = match patience {
            Patience::Short => (
                "2 seconds",
                "4 seconds",
                RetryConfig {
                    max_retries: 0,
                    ..RetryConfig::default()
                },
            ),
            Patience::Long => (
                "5 seconds",
                "20 seconds",
                RetryConfig {
                    backoff: BackoffConfig {
                        init_backoff: Duration::from_millis(100),
                        max_backoff: Duration::from_secs(5),
                        base: 2.0,
                    },
                    max_retries: 20,
                    retry_timeout: Duration::from_secs(60),
                },
            ),
        };
        let agent = concat!("protoclip-studio/", env!("CARGO_PKG_VERSION"));
        let mut builder = AmazonS3Builder::new();
        for (key, value) in &self.0 {
            builder = builder.with_config(*key, value);
        }
        let built = builder
            .with_config(client(ClientConfigKey::ConnectTimeout), connect)
            .with_config(client(ClientConfigKey::ReadTimeout), silence)
            .with_config(client(ClientConfigKey::Timeout), "300 seconds")
            .with_config(client(ClientConfigKey::UserAgent), agent)
            .with_retry(retry)
            .with_bucket_name(bucket)
            .build();
        built.map_err(|error| ObjectError::Denied(failure::setting(&error)))
    }
}

/// Names the cryptography of TLS; another choice of the process counts as well.
fn install_cryptography() {
    let _named_before = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> S3Settings {
        let pairs = pairs.iter();
        S3Settings::from_pairs(pairs.map(|(a, b)| ((*a).to_owned(), (*b).to_owned())))
    }

    #[test]
    fn the_usual_variables_are_known_and_others_passed_over() {
        let known = settings(&[
            ("AWS_ENDPOINT_URL", "http://storage"),
            ("AWS_REGION", "eu-north-1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_SKIP_SIGNATURE", "true"),
            ("AWS_EXECUTION_ENV", "x"),
            ("AWS_SESSION_TOKEN", ""),
            ("REGION", "x"),
        ]);
        assert_eq!(known.0.len(), 4);
        assert!(known.has_credentials());
        assert!(!settings(&[("AWS_REGION", "x")]).has_credentials());
        assert!(known.client("b", Patience::Short).is_ok());
    }

    #[test]
    fn settings_that_do_not_fit_are_said_with_the_variable_to_set() {
        let plain = settings(&[("AWS_ENDPOINT_URL", "http://storage")]);
        let error = plain
            .client("b", Patience::Long)
            .expect_err("plain")
            .to_string();
        assert!(error.contains("AWS_ALLOW_HTTP=true"), "{error}");
        let half = settings(&[("AWS_ACCESS_KEY_ID", "KEY")]);
        let error = half
            .client("b", Patience::Long)
            .expect_err("half")
            .to_string();
        assert!(error.contains("AWS_SECRET_ACCESS_KEY"), "{error}");
    }
}
