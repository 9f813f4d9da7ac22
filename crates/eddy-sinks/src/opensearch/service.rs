//! One `_bulk` request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eddy_stream::StreamError;
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::answer::{Answer, read};
use super::auth::Signer;
use super::request::Document;
use super::{OpenSearchSettings, WriteAs};
use crate::limits::MAX_ANSWER_BYTES;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What carries requests to the cluster.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request with these headers; the answer's status and body, or why there is none.
    ///
    /// # Errors
    /// There was no whole answer; the cluster may have acted on the request all the same.
    async fn send(
        &self,
        method: &str,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String>;
}

pub(super) struct Service {
    transport: Arc<dyn Transport>,
    signer: Signer,
    url: String,
    bulk_url: String,
    write_as: WriteAs,
}

impl Service {
    pub(super) async fn connect(settings: &OpenSearchSettings) -> Result<Self, StreamError> {
        let http = Client::builder()
            .tls_backend_preconfigured(tls(settings)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(Duration::from_millis(settings.request_timeout_ms))
            .redirect(Policy::none())
            .build()
            .map_err(|error| StreamError::fatal("cannot make an HTTP client").with_source(error))?;
        Self::over(settings, Arc::new(Http(http))).await
    }

    pub(super) async fn over(
        settings: &OpenSearchSettings,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, StreamError> {
        settings.validate()?;
        Ok(Self {
            transport,
            signer: Signer::new(&settings.auth).await?,
            url: settings.url.trim_end_matches('/').to_owned(),
            bulk_url: format!("{}/_bulk", settings.url.trim_end_matches('/')),
            write_as: settings.write_as,
        })
    }

    /// Sends documents once.
    pub(super) async fn bulk(&self, batch: &[Document]) -> Answer {
        let mut body = Vec::with_capacity(batch.iter().map(|document| document.lines.len()).sum());
        batch.iter().for_each(|document| body.extend_from_slice(&document.lines));
        let mut headers = match self.signer.headers("POST", &self.bulk_url, &body).await {
            Ok(headers) => headers,
            Err(error) if error.kind() == eddy_stream::ErrorKind::Retry => {
                return Answer::Later(error.to_string());
            }
            Err(error) => return Answer::Fatal(error),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        match self.transport.send("POST", &self.bulk_url, headers, body).await {
            Ok((status, body)) => read(status, &body, batch.len(), self.write_as),
            Err(error) => Answer::Later(error),
        }
    }

    /// Sends a request once, with a body of JSON where it has one.
    pub(super) async fn call(
        &self,
        method: &'static str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let more = if body.is_empty() { vec![] } else { vec![json] };
        self.send(method, path, more, body).await
    }

    /// Sends a request once, with these headers beside those that say who asks.
    pub(super) async fn send(
        &self,
        method: &'static str,
        path: &str,
        more: Vec<(HeaderName, HeaderValue)>,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let url = format!("{}/{path}", self.url);
        let mut headers =
            self.signer.headers(method, &url, &body).await.map_err(|error| error.to_string())?;
        headers.extend(more);
        self.transport.send(method, &url, headers, body).await
    }
}

struct Http(Client);

#[async_trait]
impl Transport for Http {
    async fn send(
        &self,
        method: &str,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let method = method.parse().map_err(|_| format!("{method} is no method"))?;
        let request = self.0.request(method, url).headers(headers);
        exchange(if body.is_empty() { request } else { request.body(body) }).await
    }
}

/// The answer's status and body.
async fn exchange(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), String> {
    // The caller names the address.
    let said = |error: reqwest::Error| {
        let error = error.without_url();
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            said.push_str(&format!(": {error}"));
            cause = error.source();
        }
        said
    };
    let mut response = request.send().await.map_err(said)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(said)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(format!("the answer has more than {MAX_ANSWER_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), body))
}

/// TLS with the system's certificates and those of the settings.
fn tls(settings: &OpenSearchSettings) -> Result<ClientConfig, StreamError> {
    let mut roots = RootCertStore::empty();
    if settings.url.starts_with("https") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(path) = &settings.ca_certificate {
        let unusable = |error: String| {
            let context = format!("cannot use the certificates of {}", path.display());
            StreamError::fatal(context).with_source(error)
        };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|e| unusable(e.to_string()))?;
        let mut n_added = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
            roots.add(certificate).map_err(|e| unusable(e.to_string()))?;
            n_added += 1;
        }
        if n_added == 0 {
            return Err(unusable("it holds none".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StreamError::fatal("TLS cannot be used").with_source(error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
