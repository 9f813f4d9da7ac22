//! An S3 bucket as an object store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eddy_stream::StreamError;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::client::{ClientOptions, CredentialProvider};
use object_store::{BackoffConfig, RetryConfig};

use crate::credentials::{KeptCredentials, is_lasting};
use crate::{ConnectionSettings, connect};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One request, the transfer of its object included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// What the store's client tries again by itself: whoever uses it waits longer and says so.
const MAX_RETRIES: usize = 2;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// A bucket, reached and signed for as all AWS services here are; the endpoint may also come from
/// `AWS_ENDPOINT_URL_S3`. Nothing is sent to it yet.
///
/// # Errors
/// There is no region, or there are no credentials.
pub async fn bucket(name: &str, settings: &ConnectionSettings) -> Result<AmazonS3, StreamError> {
    let mut settings = settings.clone();
    if settings.endpoint_url.is_none() {
        settings.endpoint_url = std::env::var("AWS_ENDPOINT_URL_S3").ok();
    }
    let config = connect(&settings).await;
    let region = config.region().ok_or_else(|| {
        StreamError::fatal(format!(
            "no region for the bucket {name}: set region beside its url, or AWS_REGION"
        ))
    })?;
    let no_credentials = || {
        StreamError::fatal(format!(
            "no AWS credentials for the bucket {name}: set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, or name a profile in AWS_PROFILE, or run where a role gives \
             them (an endpoint_url on this machine needs none)"
        ))
    };
    let provider = config.credentials_provider().ok_or_else(no_credentials)?;
    let keys = Keys(KeptCredentials::new(provider));
    // Whatever uses the bucket would only say that it is denied.
    keys.0.get().await.map_err(|error| {
        if is_lasting(&error) {
            return no_credentials().with_source(error);
        }
        StreamError::retry(format!("cannot get AWS credentials for the bucket {name} now"))
            .with_source(error)
    })?;
    // The store's client takes the TLS provider of the process. Another part may have set it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options =
        ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_region(region.as_ref())
        .with_credentials(Arc::new(keys))
        .with_client_options(options)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: MAX_RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        });
    if let Some(endpoint) = config.endpoint_url() {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    builder.build().map_err(|error| {
        StreamError::fatal(format!("cannot use the bucket {name}")).with_source(error)
    })
}

/// The SDK's credentials for the store's client.
#[derive(Debug)]
struct Keys(KeptCredentials);

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let keys = self.0.get().await.map_err(|error| match is_lasting(&error) {
            true => object_store::Error::Unauthenticated {
                path: "the bucket".to_owned(),
                source: error.into(),
            },
            // The service of credentials may be back in a while.
            false => object_store::Error::Generic { store: "S3", source: error.into() },
        })?;
        Ok(Arc::new(AwsCredential {
            key_id: keys.access_key_id().to_owned(),
            secret_key: keys.secret_access_key().to_owned(),
            token: keys.session_token().map(str::to_owned),
        }))
    }
}
