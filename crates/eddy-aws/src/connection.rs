//! Where a service is, and how long it may take to answer.

use std::net::IpAddr;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::default_async_sleep;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::HttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use serde::{Deserialize, Serialize};

/// One attempt of a call, connecting included. The SDK sets no such limit, and a connection that
/// hangs would hang whatever waits for it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// A call, finding credentials included.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionSettings {
    /// The region. Default: what the environment and the AWS profile say; `us-east-1` for an
    /// endpoint on this machine.
    pub region: Option<String>,
    /// The endpoint. Default: the region's, or what `AWS_ENDPOINT_URL_KINESIS`,
    /// `AWS_ENDPOINT_URL_FIREHOSE` or `AWS_ENDPOINT_URL_S3` says.
    pub endpoint_url: Option<String>,
}

impl ConnectionSettings {
    /// An endpoint on this machine.
    pub fn local(endpoint_url: &str) -> Self {
        Self { region: None, endpoint_url: Some(endpoint_url.to_owned()) }
    }

    /// Whether the endpoint is on this machine: no credentials are needed then.
    pub fn is_local(&self) -> bool {
        self.endpoint_url.as_deref().and_then(host_of).is_some_and(|host| {
            host.eq_ignore_ascii_case("localhost")
                || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        })
    }
}

/// The host of a URL, without user, port and brackets; `None` where it is not plain to see.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let server = authority.rsplit('@').next()?;
    let (host, port) = match server.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => server.split_at(server.find(':').unwrap_or(server.len())),
    };
    let port_is_plain = match port.strip_prefix(':') {
        Some(number) => number.is_empty() || number.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    port_is_plain.then_some(host)
}

/// The SDK's configuration for these settings. Nothing is sent yet.
pub async fn connect(settings: &ConnectionSettings) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let mut config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts())
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
    config.load().await
}

/// A configuration whose calls go to an HTTP client of the caller's, with the time limits of
/// [`connect`], and with nothing taken from the environment: for doubles and simulations.
pub fn connect_over(http: impl HttpClient + 'static) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts())
        .retry_config(RetryConfig::disabled())
        // It goes by the machine's clock: a simulation has another.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .sleep_impl(default_async_sleep().expect("the SDK is built for tokio"))
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://double")
        .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys(
            "local", "local", None,
        )))
        .build()
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endpoints_on_this_machine_are_local() {
        for local in ["http://127.0.0.1:4567", "http://localhost", "http://[::1]:1"] {
            assert!(ConnectionSettings::local(local).is_local(), "{local}");
        }
        for other in ["https://kinesis.eu-west-1.amazonaws.com", "http://10.0.0.1", "127.0.0.1"] {
            assert!(!ConnectionSettings::local(other).is_local(), "{other}");
        }
        assert!(!ConnectionSettings::default().is_local());
    }

    #[test]
    fn a_name_that_begins_like_this_machine_s_is_not_local() {
        for other in [
            "http://localhost.evil.com",
            "http://127.evil.com:4567",
            "http://127.0.0.1.evil.com/",
            "http://localhost:80@evil.com",
            "http://localhost@evil.com/localhost",
            "http://evil.com/://localhost",
            "http://evil.com?http://127.0.0.1",
            "http://[::1].evil.com",
            "http://localhost:1.evil.com",
            "http://",
        ] {
            assert!(!ConnectionSettings::local(other).is_local(), "{other}");
        }
        for local in [
            "http://user:secret@127.0.0.1:4567/path?query",
            "https://LocalHost:4567/",
            "http://127.8.9.10",
            "http://[::1]",
        ] {
            assert!(ConnectionSettings::local(local).is_local(), "{local}");
        }
    }
}
