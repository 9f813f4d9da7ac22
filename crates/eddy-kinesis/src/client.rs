//! Connections, and streams that may have to be made.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::StreamStatus;
use eddy_aws::{CallError, ConnectionSettings, Failure, connect};
use eddy_stream::{Backoff, StreamError};

use crate::source::resource;

/// How long a stream may take to become active.
const ACTIVE_WITHIN: Duration = Duration::from_secs(120);

/// Connects. Nothing is sent yet.
pub async fn client(settings: &ConnectionSettings) -> Client {
    Client::new(&connect(settings).await)
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
                                return Err(
                                    error.into_stream_error("CreateStream", &resource(stream))
                                );
                            }
                        }
                    }
                    Failure::NotFound | Failure::Passing | Failure::Throttled => {}
                    _ => {
                        return Err(
                            error.into_stream_error("DescribeStreamSummary", &resource(stream))
                        );
                    }
                }
            }
        }
        if pause.failing_for() > ACTIVE_WITHIN {
            return Err(StreamError::retry(format!("the stream {stream} does not become active")));
        }
        pause.wait().await;
    }
}
