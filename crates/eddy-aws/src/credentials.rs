//! Credentials kept until shortly before they expire.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Mutex;

/// Credentials are asked for again this long before they expire.
const REFRESH_BEFORE: Duration = Duration::from_secs(300);
/// And after this long where they do not say when they expire.
const REFRESH_AFTER: Duration = Duration::from_secs(900);

/// Credentials for requests that no SDK client signs.
#[derive(Debug)]
pub struct KeptCredentials {
    provider: SharedCredentialsProvider,
    // With the moment from which they are asked for again.
    kept: Mutex<Option<(Credentials, SystemTime)>>,
}

impl KeptCredentials {
    /// Credentials of that provider; none are asked for yet.
    pub fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, kept: Mutex::new(None) }
    }

    /// The credentials. Those that are kept are given out until they expire where the provider
    /// cannot get others.
    ///
    /// # Errors
    /// The provider has none, or cannot get them now.
    pub async fn get(&self) -> Result<Credentials, CredentialsError> {
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        if let Some((credentials, _)) = kept.as_ref().filter(|(_, until)| now < *until) {
            return Ok(credentials.clone());
        }
        let fresh = match self.provider.provide_credentials().await {
            Ok(fresh) => fresh,
            Err(error) => {
                let kept = kept.as_ref().map(|(credentials, _)| credentials);
                let valid = kept.filter(|kept| kept.expiry().is_none_or(|expiry| now < expiry));
                return valid.cloned().ok_or(error);
            }
        };
        let until = match fresh.expiry() {
            Some(expiry) => expiry - REFRESH_BEFORE,
            None => now + REFRESH_AFTER,
        };
        *kept = Some((fresh.clone(), until));
        Ok(fresh)
    }
}

/// Whether a provider's error stays until somebody sets something, unlike a service of credentials
/// that is away.
pub(crate) fn is_lasting(error: &CredentialsError) -> bool {
    matches!(
        error,
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::future;

    use super::*;

    /// Answers the first time, and is away after that.
    #[derive(Debug)]
    struct Away {
        n_asked: AtomicUsize,
        expires_in: Duration,
    }

    impl ProvideCredentials for Away {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(match self.n_asked.fetch_add(1, Ordering::SeqCst) {
                0 => {
                    let expiry = Some(SystemTime::now() + self.expires_in);
                    Ok(Credentials::new("key", "secret", None, expiry, "test"))
                }
                _ => Err(CredentialsError::provider_error("away")),
            })
        }
    }

    #[tokio::test]
    async fn kept_credentials_serve_until_they_expire_where_no_others_are_to_be_had() {
        for (expires_in, serves) in [(REFRESH_BEFORE / 2, true), (Duration::ZERO, false)] {
            let provider = Away { n_asked: AtomicUsize::new(0), expires_in };
            let kept = KeptCredentials::new(SharedCredentialsProvider::new(provider));
            kept.get().await.expect("the first time");
            match kept.get().await {
                Ok(credentials) => assert!(serves && credentials.access_key_id() == "key"),
                Err(error) => assert!(!serves && !is_lasting(&error), "{error}"),
            }
        }
        assert!(is_lasting(&CredentialsError::not_loaded("none")));
    }
}
