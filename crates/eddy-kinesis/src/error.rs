//! From the SDK's errors to what the caller does about them.

use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use eddy_stream::StreamError;

/// What kind of failure a call met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A limit was exceeded: wait.
    Throttled,
    /// The iterator is too old: take a new one.
    ExpiredIterator,
    /// The stream or the shard does not exist.
    NotFound,
    /// Credentials or permissions.
    Denied,
    /// The request itself is wrong.
    Invalid,
    /// Anything that may pass: time-outs, connections, the service's own errors.
    Passing,
}

/// A failed call.
#[derive(Debug)]
pub(crate) struct CallError {
    pub(crate) failure: Failure,
    message: String,
}

impl CallError {
    pub(crate) fn new<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let code = match &error {
            SdkError::ServiceError(service) => service.err().code().unwrap_or_default().to_owned(),
            SdkError::ConstructionFailure(_) => "Construction".to_owned(),
            _ => String::new(),
        };
        let failure = match code.as_str() {
            "ProvisionedThroughputExceededException"
            | "LimitExceededException"
            | "KMSThrottlingException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded" => Failure::Throttled,
            "ExpiredIteratorException" => Failure::ExpiredIterator,
            "ResourceNotFoundException" => Failure::NotFound,
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignatureException"
            | "KMSAccessDeniedException"
            | "OptInRequired" => Failure::Denied,
            "InvalidArgumentException" | "ValidationException" | "SerializationException" => {
                Failure::Invalid
            }
            "Construction" => Failure::Invalid,
            _ => Failure::Passing,
        };
        let message = match &error {
            SdkError::ServiceError(service) if !code.is_empty() => {
                format!("{code}: {}", service.err().message().unwrap_or("no message"))
            }
            other => DisplayErrorContext(other).to_string(),
        };
        Self { failure, message }
    }

    /// The error for the caller; `action` is the API's name, which is also the permission's.
    pub(crate) fn into_stream_error(self, action: &str, stream: &str) -> StreamError {
        let source = self.message;
        match self.failure {
            Failure::NotFound => StreamError::fatal(format!(
                "the stream {stream} does not exist in this account and region (or was deleted): \
                 create it, or correct stream, region or endpoint_url"
            )),
            Failure::Denied => StreamError::fatal(format!(
                "{action} on the stream {stream} was denied: check the credentials, and that they \
                 allow kinesis:{action}"
            )),
            Failure::Invalid => {
                StreamError::fatal(format!("{action} on the stream {stream} was refused"))
            }
            Failure::Throttled | Failure::ExpiredIterator | Failure::Passing => {
                StreamError::retry(format!("{action} on the stream {stream} keeps failing"))
            }
        }
        .with_source(source)
    }
}
