//! From the SDK's errors to what the caller does about them.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use eddy_stream::StreamError;

/// What is shown of an answer that is not an AWS service's, in characters.
const MAX_BODY_CHARS: usize = 200;

/// What kind of failure a call met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A limit was exceeded: wait.
    Throttled,
    /// The iterator is too old: take a new one.
    ExpiredIterator,
    /// The stream or the shard does not exist.
    NotFound,
    /// Credentials, which may be missing, or permissions.
    Denied,
    /// The request itself is wrong.
    Invalid,
    /// The request is larger than the endpoint takes: send less at once.
    TooLarge,
    /// Anything that may pass: time-outs, connections, the service's own errors.
    Passing,
}

/// A failed call. Its text says why, without the names of Rust's types.
#[derive(Debug)]
pub struct CallError {
    /// Of what kind.
    pub failure: Failure,
    // Denied before it was sent, for want of credentials.
    without_credentials: bool,
    // No answer came: nobody is there, or too slow.
    unanswered: bool,
    message: String,
}

impl CallError {
    /// Sorts the SDK's error by its code, or, where the answer has none, by its HTTP status.
    pub fn new<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        if lacks_credentials(&error) {
            let message = with_sources(&error);
            let failure = Failure::Denied;
            return Self { failure, without_credentials: true, unanswered: false, message };
        }
        let answer = error.raw_response().filter(|answer| !answer.status().is_success());
        let status = answer.map(|answer| answer.status().as_u16());
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        let failure = match (code, status) {
            // A proxy between may answer so: whatever else it says, the request is too large.
            (_, Some(413)) => Failure::TooLarge,
            (Some(code), _) => failure_of_code(code),
            (None, Some(status)) => failure_of_status(status),
            (None, None) if matches!(error, SdkError::ConstructionFailure(_)) => Failure::Invalid,
            (None, None) => Failure::Passing,
        };
        let message = match (code, answer, status) {
            (Some(code), ..) => {
                let service = error.as_service_error();
                let message = service.and_then(ProvideErrorMetadata::message);
                format!("{code}: {}", message.unwrap_or("no message"))
            }
            (None, Some(answer), Some(status)) => {
                let said = said_by(answer);
                format!(
                    "HTTP status {status} without an AWS error code (is endpoint_url right?){said}"
                )
            }
            _ => with_sources(&error),
        };
        let unanswered = matches!(error, SdkError::DispatchFailure(_) | SdkError::TimeoutError(_));
        Self { failure, without_credentials: false, unanswered, message }
    }

    /// Something of ours that may pass.
    pub fn passing(message: String) -> Self {
        Self { failure: Failure::Passing, without_credentials: false, unanswered: false, message }
    }

    /// An error in the midst of an answer that is a stream of events: what the service said breaks
    /// off as it says; anything else may pass.
    pub fn in_stream<E, R>(error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        let failure = code.map_or(Failure::Passing, failure_of_code);
        let message = with_sources(&error);
        Self { failure, without_credentials: false, unanswered: false, message }
    }

    /// Whether no answer came, such as from an address where nobody listens.
    pub fn is_unanswered(&self) -> bool {
        self.unanswered
    }

    /// Whether the caller is known and may not do this: another action may be allowed.
    pub fn lacks_permission(&self) -> bool {
        self.message.starts_with("AccessDeniedException:")
    }

    /// The error for the caller; `action` is the API's name, which is also the permission's.
    pub fn into_stream_error(self, action: &str, resource: &Resource<'_>) -> StreamError {
        let source = self.message;
        match self.failure {
            Failure::NotFound => StreamError::fatal(format!(
                "{resource} does not exist in this account and region (or was deleted): create \
                 it, or correct its name, region or endpoint_url"
            )),
            Failure::Denied if self.without_credentials => StreamError::fatal(format!(
                "no AWS credentials for {action} on {resource}: set AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, or name a profile in AWS_PROFILE, or run where a role \
                 gives them (an endpoint_url on this machine needs none)"
            )),
            Failure::Denied => StreamError::fatal(format!(
                "{action} on {resource} was denied: check the credentials, and that they allow \
                 {}:{action}",
                resource.service
            )),
            Failure::Invalid => StreamError::fatal(format!("{action} on {resource} was refused")),
            Failure::TooLarge => StreamError::fatal(format!(
                "{action} on {resource} was refused because the request is larger than the \
                 endpoint takes"
            )),
            Failure::Throttled | Failure::ExpiredIterator | Failure::Passing => {
                StreamError::retry(format!("{action} on {resource} keeps failing"))
            }
        }
        .with_source(source)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CallError {}

fn failure_of_code(code: &str) -> Failure {
    match code {
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
        _ => Failure::Passing,
    }
}

/// Of an answer without a code: a proxy's, or a server's that is no AWS service.
fn failure_of_status(status: u16) -> Failure {
    match status {
        401 | 403 => Failure::Denied,
        400 | 404 | 405 => Failure::Invalid,
        429 => Failure::Throttled,
        _ => Failure::Passing,
    }
}

/// Whether no provider had credentials, or they are set up wrongly. A provider that had trouble
/// giving them may give them later.
fn lacks_credentials<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    sources(error).any(|source| {
        matches!(
            source.downcast_ref::<CredentialsError>(),
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                    | CredentialsError::InvalidConfiguration(_)
            )
        )
    })
}

/// The beginning of an answer's text, on one line.
fn said_by(answer: &HttpResponse) -> String {
    let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default());
    let words: Vec<&str> = body.split_whitespace().collect();
    let text: String = words.join(" ").chars().take(MAX_BODY_CHARS).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}

/// An error and its causes, the first first.
fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// An error and what caused it, `a: b: c`; what repeats its cause's text is said once.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for source in sources(error) {
        let part = source.to_string();
        if text.ends_with(&part) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&part);
    }
    text
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

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;
    use eddy_stream::ErrorKind;

    use super::*;

    const STREAM: Resource<'_> =
        Resource { service: "kinesis", kind: "the stream", name: "readings" };

    fn answered(status: u16, metadata: ErrorMetadata, body: &'static str) -> CallError {
        let status = StatusCode::try_from(status).expect("a status");
        let answer = HttpResponse::new(status, SdkBody::from(body));
        CallError::new(SdkError::service_error(metadata, answer))
    }

    fn coded(status: u16, code: &str) -> CallError {
        answered(status, ErrorMetadata::builder().code(code).message("why").build(), "{}")
    }

    fn unsent(cause: CredentialsError) -> CallError {
        let error = ConnectorError::other(cause.into(), None);
        CallError::new(SdkError::<ErrorMetadata, _>::dispatch_failure(error))
    }

    #[test]
    fn an_answer_without_an_aws_code_is_sorted_by_its_status() {
        for (status, failure) in [
            (400, Failure::Invalid),
            (401, Failure::Denied),
            (403, Failure::Denied),
            (404, Failure::Invalid),
            (405, Failure::Invalid),
            (413, Failure::TooLarge),
            (429, Failure::Throttled),
            (500, Failure::Passing),
            (503, Failure::Passing),
        ] {
            let error = answered(status, ErrorMetadata::builder().build(), "<b>no</b>\r\n way");
            assert_eq!(error.failure, failure, "{status}");
            let text = error.to_string();
            assert!(
                text.contains(&status.to_string()) && text.ends_with(": <b>no</b> way"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_code_says_more_than_the_status_unless_the_request_is_too_large() {
        assert_eq!(coded(400, "ExpiredIteratorException").failure, Failure::ExpiredIterator);
        assert_eq!(coded(400, "ResourceNotFoundException").failure, Failure::NotFound);
        assert_eq!(coded(400, "LimitExceededException").failure, Failure::Throttled);
        assert_eq!(coded(400, "SomethingNew").failure, Failure::Passing);
        assert_eq!(coded(413, "SomethingNew").failure, Failure::TooLarge);
        assert_eq!(coded(400, "ValidationException").to_string(), "ValidationException: why");
    }

    #[test]
    fn missing_credentials_are_denied_with_a_hint_and_do_not_pass() {
        for cause in [
            CredentialsError::not_loaded("no providers in chain"),
            CredentialsError::invalid_configuration("a loop of profiles"),
        ] {
            let error = unsent(cause);
            assert_eq!(error.failure, Failure::Denied);
            let error = error.into_stream_error("GetRecords", &STREAM);
            assert_eq!(error.kind(), ErrorKind::Fatal);
            assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
        }
        let busy = unsent(CredentialsError::provider_error("503 from the metadata service"));
        assert_eq!(busy.failure, Failure::Passing);
        assert!(busy.is_unanswered() && !coded(500, "InternalFailure").is_unanswered());
    }

    #[test]
    fn a_message_is_the_chain_of_causes_without_a_debug_dump() {
        let error = unsent(CredentialsError::provider_error("connection refused"));
        assert_eq!(
            error.to_string(),
            "dispatch failure: other: an error occurred while loading credentials: connection refused"
        );
    }
}
