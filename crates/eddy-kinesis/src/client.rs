//! Connections, and streams that may have to be made.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::StreamStatus;
use aws_smithy_http_client::tls;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use eddy_stream::StreamError;
use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::error::{CallError, Failure};

/// One attempt of a call, connecting included. The SDK sets no such limit, and a connection that
/// hangs would hang the shard.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// A call with the SDK's own retries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a stream may take to become active.
const ACTIVE_WITHIN: Duration = Duration::from_secs(120);

/// How to reach Kinesis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KinesisSettings {
    /// The region. Default: what the environment and the AWS profile say; `us-east-1` for an
    /// endpoint on this machine.
    pub region: Option<String>,
    /// The endpoint. Default: the region's, or what `AWS_ENDPOINT_URL_KINESIS` says.
    pub endpoint_url: Option<String>,
}

impl KinesisSettings {
    /// An endpoint on this machine.
    pub fn local(endpoint_url: &str) -> Self {
        Self { region: None, endpoint_url: Some(endpoint_url.to_owned()) }
    }

    /// Whether the endpoint is on this machine: no credentials are needed then.
    pub fn is_local(&self) -> bool {
        let host = self.endpoint_url.as_deref().and_then(|url| url.split_once("://"));
        host.is_some_and(|(_, rest)| {
            ["127.", "localhost", "[::1]"].iter().any(|local| rest.starts_with(local))
        })
    }
}

/// Connects. Nothing is sent yet.
pub async fn client(settings: &KinesisSettings) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        // This crate retries: the SDK does not know of partial failures, positions and order.
        .retry_config(RetryConfig::disabled());
    if let Some(endpoint_url) = &settings.endpoint_url {
        config = config.endpoint_url(endpoint_url);
    }
    if let Some(region) = &settings.region {
        config = config.region(Region::new(region.clone()));
    } else if settings.is_local() && std::env::var_os("AWS_REGION").is_none() {
        config = config.region(Region::from_static("us-east-1"));
    }
    if settings.is_local() {
        // An endpoint on this machine takes any credentials, and looking for real ones takes time.
        config = config.credentials_provider(Credentials::from_keys("local", "local", None));
    }
    Client::new(&config.load().await)
}

/// Creates the stream if it does not exist and waits until it is active. Says whether it was
/// created.
///
/// # Errors
/// The stream cannot be created or described, or does not become active within two minutes.
pub async fn ensure_stream(
    client: &Client,
    stream: &str,
    n_shards: i32,
) -> Result<bool, StreamError> {
    let mut created = false;
    let mut pause = Backoff::new(Duration::from_millis(20), Duration::from_secs(1), stream);
    loop {
        match client.describe_stream_summary().stream_name(stream).send().await {
            Ok(described) => {
                let summary = described.stream_description_summary();
                let status = summary.map(|summary| summary.stream_status().clone());
                if matches!(status, Some(StreamStatus::Active | StreamStatus::Updating)) {
                    return Ok(created);
                }
            }
            Err(error) => {
                let error = CallError::new(error);
                match error.failure {
                    Failure::NotFound if !created => {
                        let made =
                            client.create_stream().stream_name(stream).shard_count(n_shards).send();
                        match made.await {
                            Ok(_) => created = true,
                            // Somebody else is creating it.
                            Err(error)
                                if error
                                    .as_service_error()
                                    .is_some_and(|e| e.is_resource_in_use_exception()) => {}
                            Err(error) => {
                                let error = CallError::new(error);
                                return Err(error.into_stream_error("CreateStream", stream));
                            }
                        }
                    }
                    Failure::NotFound | Failure::Passing | Failure::Throttled => {}
                    _ => return Err(error.into_stream_error("DescribeStreamSummary", stream)),
                }
            }
        }
        if pause.failing_for() > ACTIVE_WITHIN {
            return Err(StreamError::retry(format!("the stream {stream} does not become active")));
        }
        pause.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endpoints_on_this_machine_are_local() {
        for local in ["http://127.0.0.1:4567", "http://localhost", "http://[::1]:1"] {
            assert!(KinesisSettings::local(local).is_local(), "{local}");
        }
        for other in ["https://kinesis.eu-west-1.amazonaws.com", "http://10.0.0.1", "127.0.0.1"] {
            assert!(!KinesisSettings::local(other).is_local(), "{other}");
        }
        assert!(!KinesisSettings::default().is_local());
    }
}
