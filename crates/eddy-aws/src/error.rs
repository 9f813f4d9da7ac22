//! From the SDK's errors to what the caller does about them.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use eddy_stream::StreamError;

/// What kind of failure a call met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
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
pub struct CallError {
    /// Of what kind.
    pub failure: Failure,
    message: String,
}

impl CallError {
    /// Sorts the SDK's error by its code.
    pub fn new<E>(error: SdkError<E, HttpResponse>) -> Self
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
    pub fn into_stream_error(self, action: &str, resource: &Resource<'_>) -> StreamError {
        let source = self.message;
        match self.failure {
            Failure::NotFound => StreamError::fatal(format!(
                "{resource} does not exist in this account and region (or was deleted): create \
                 it, or correct its name, region or endpoint_url"
            )),
            Failure::Denied => StreamError::fatal(format!(
                "{action} on {resource} was denied: check the credentials, and that they allow \
                 {}:{action}",
                resource.service
            )),
            Failure::Invalid => StreamError::fatal(format!("{action} on {resource} was refused")),
            Failure::Throttled | Failure::ExpiredIterator | Failure::Passing => {
                StreamError::retry(format!("{action} on {resource} keeps failing"))
            }
        }
        .with_source(source)
    }
}

/// What a call is about, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// The service's prefix in permissions: `kinesis`, `firehose`.
    pub service: &'static str,
    /// What kind of thing it is, with its article: `the stream`.
    pub kind: &'static str,
    /// Its name or ARN.
    pub name: &'a str,
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
