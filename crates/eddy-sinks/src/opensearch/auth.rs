//! Who the sink says it is.

use std::time::SystemTime;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use eddy_aws::{ConnectionSettings, KeptCredentials, connect};
use eddy_stream::StreamError;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::Auth;

/// What signs requests.
pub(super) enum Signer {
    /// The same header for all requests, or none.
    Fixed(HeaderMap),
    /// A signature of each request.
    Aws(Box<AwsSigner>),
}

impl Signer {
    pub(super) async fn new(auth: &Auth) -> Result<Self, StreamError> {
        let header = match auth {
            Auth::None => return Ok(Self::Fixed(HeaderMap::new())),
            Auth::Basic { username, password_env } => basic(username, &secret(password_env)?),
            Auth::ApiKey { key_env } => format!("ApiKey {}", secret(key_env)?),
            Auth::Aws { region, service } => {
                let signer = AwsSigner::new(region, service).await?;
                return Ok(Self::Aws(Box::new(signer)));
            }
        };
        let mut value = HeaderValue::from_str(&header)
            .map_err(|_| StreamError::fatal("a secret holds characters that no header may have"))?;
        value.set_sensitive(true);
        Ok(Self::Fixed(HeaderMap::from_iter([(AUTHORIZATION, value)])))
    }

    /// The headers that say who sends this body to this address.
    pub(super) async fn headers(
        &self,
        method: &str,
        url: &str,
        body: &[u8],
    ) -> Result<HeaderMap, StreamError> {
        match self {
            Self::Fixed(headers) => Ok(headers.clone()),
            Self::Aws(signer) => signer.headers(method, url, body).await,
        }
    }
}

fn secret(variable: &str) -> Result<String, StreamError> {
    std::env::var(variable).map_err(|error| {
        StreamError::fatal(format!("the variable {variable} of the environment holds no secret"))
            .with_source(error)
    })
}

fn basic(username: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{username}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// AWS Signature Version 4.
pub(super) struct AwsSigner {
    region: String,
    service: String,
    credentials: KeptCredentials,
}

impl AwsSigner {
    async fn new(region: &str, service: &str) -> Result<Self, StreamError> {
        let connection = ConnectionSettings { region: Some(region.to_owned()), endpoint_url: None };
        let provider = connect(&connection).await.credentials_provider().ok_or_else(|| {
            StreamError::fatal("there are no AWS credentials in the environment or the profile")
        })?;
        Ok(Self::with_provider(region, service, provider))
    }

    fn with_provider(region: &str, service: &str, provider: SharedCredentialsProvider) -> Self {
        Self {
            region: region.to_owned(),
            service: service.to_owned(),
            credentials: KeptCredentials::new(provider),
        }
    }

    async fn headers(
        &self,
        method: &str,
        url: &str,
        body: &[u8],
    ) -> Result<HeaderMap, StreamError> {
        let credentials = self.credentials.get().await.map_err(|error| {
            StreamError::retry("cannot get AWS credentials for the search service")
                .with_source(error)
        })?;
        let identity = credentials.into();
        let unsigned =
            |error: String| StreamError::fatal("cannot sign a request").with_source(error);
        let mut settings = SigningSettings::default();
        // Serverless collections demand the body's hash as a header.
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| unsigned(error.to_string()))?
            .into();
        let request =
            SignableRequest::new(method, url, std::iter::empty(), SignableBody::Bytes(body))
                .map_err(|error| unsigned(error.to_string()))?;
        let (instructions, _) =
            sign(request, &params).map_err(|error| unsigned(error.to_string()))?.into_parts();
        let mut headers = HeaderMap::new();
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|error| unsigned(error.to_string()))?;
            let value =
                HeaderValue::from_str(value).map_err(|error| unsigned(error.to_string()))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;

    #[tokio::test]
    async fn a_signature_covers_body_address_region_and_service() {
        let credentials = Credentials::from_keys("AKIDEXAMPLE", "secret", Some("token".into()));
        let provider = SharedCredentialsProvider::new(credentials);
        let signer = AwsSigner::with_provider("eu-west-1", "aoss", provider);
        let sign = async |url: &str, body: &[u8]| {
            let headers = signer.headers("POST", url, body).await.expect("signed");
            let authorization = headers[AUTHORIZATION].to_str().expect("text").to_owned();
            assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
            assert!(authorization.contains("/eu-west-1/aoss/aws4_request"), "{authorization}");
            assert_eq!(headers["x-amz-security-token"], "token");
            let hash = headers["x-amz-content-sha256"].to_str().expect("text").to_owned();
            (hash, headers["x-amz-date"].to_str().expect("text").to_owned(), authorization)
        };
        let first = sign("https://a.example/_bulk", b"{}").await;
        // The hash of "{}".
        let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(first.0, hash);
        let other = sign("https://b.example/_bulk", b"{}").await;
        assert_ne!(first.2, other.2);
    }

    #[tokio::test]
    async fn a_secret_that_is_not_there_is_named() {
        let auth = Auth::ApiKey { key_env: "EDDY_NO_SUCH_VARIABLE".to_owned() };
        let error = Signer::new(&auth).await.err().expect("missing");
        assert!(error.to_string().contains("EDDY_NO_SUCH_VARIABLE"), "{error}");
    }
}
