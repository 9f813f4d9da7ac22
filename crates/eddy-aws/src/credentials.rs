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

    /// The credentials.
    ///
    /// # Errors
    /// The provider has none, or cannot get them now.
    pub async fn get(&self) -> Result<Credentials, CredentialsError> {
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        if let Some((credentials, _)) = kept.as_ref().filter(|(_, until)| now < *until) {
            return Ok(credentials.clone());
        }
        let fresh = self.provider.provide_credentials().await?;
        let until = match fresh.expiry() {
            Some(expiry) => expiry - REFRESH_BEFORE,
            None => now + REFRESH_AFTER,
        };
        *kept = Some((fresh.clone(), until));
        Ok(fresh)
    }
}
