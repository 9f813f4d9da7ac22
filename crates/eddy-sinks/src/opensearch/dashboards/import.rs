//! Saved objects into a running Kibana or OpenSearch Dashboards.

use std::sync::Arc;

use eddy_stream::StreamError;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Value;

use super::Dashboards;
use crate::opensearch::OpenSearchSettings;
use crate::opensearch::service::{Service, Transport};

/// A text that no object has.
const BOUNDARY: &str = "eddy-saved-objects-7f1c1d6b";
const PATH: &str = "api/saved_objects/_import?overwrite=true";

/// What was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Objects that are there now.
    pub n_objects: u64,
}

impl Dashboards {
    /// Puts the saved objects into the Kibana or OpenSearch Dashboards at `to.url`, over those that
    /// are there. Of `to`, only the address, who asks, the certificate and the time-out matter.
    ///
    /// # Errors
    /// It cannot be reached, does not know who asks, is something else, or refuses an object; the
    /// error says what to change.
    pub async fn import(&self, to: &OpenSearchSettings) -> Result<Imported, StreamError> {
        self.import_by(&Service::connect(to).await?, &to.url).await
    }

    /// The same over a transport of the caller's.
    ///
    /// # Errors
    /// As [`Dashboards::import`].
    pub async fn import_over(
        &self,
        to: &OpenSearchSettings,
        transport: Arc<dyn Transport>,
    ) -> Result<Imported, StreamError> {
        self.import_by(&Service::over(to, transport).await?, &to.url).await
    }

    async fn import_by(&self, service: &Service, url: &str) -> Result<Imported, StreamError> {
        let content_type =
            HeaderValue::try_from(format!("multipart/form-data; boundary={BOUNDARY}"));
        let mut headers = vec![(CONTENT_TYPE, content_type.expect("plain ASCII"))];
        // Each product wants its own, and neither minds the other's.
        for name in ["osd-xsrf", "kbn-xsrf"] {
            headers.push((HeaderName::from_static(name), HeaderValue::from_static("true")));
        }
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"eddy.ndjson\"\r\nContent-Type: application/ndjson\r\n\r\n{}\r\n--{BOUNDARY}--\r\n",
            self.to_ndjson()
        );
        let (status, answer) =
            service.send("POST", PATH, headers, body.into_bytes()).await.map_err(|reason| {
                StreamError::fatal(format!(
                    "{url} cannot be reached: check --url, and that this machine reaches it"
                ))
                .with_source(reason)
            })?;
        read(url, status, &answer)
    }
}

/// What the answer says.
fn read(url: &str, status: u16, answer: &[u8]) -> Result<Imported, StreamError> {
    let said: Value = serde_json::from_slice(answer).unwrap_or_default();
    if status == 200 && said["success"] == true {
        return Ok(Imported { n_objects: said["successCount"].as_u64().unwrap_or(0) });
    }
    if status == 200 && said["success"] == false {
        let errors = said["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let reason = |error: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
            format!(
                "{} {}: {}",
                text(&error["type"]),
                text(&error["id"]),
                text(&error["error"]["type"])
            )
        };
        let reasons: Vec<String> = errors.iter().map(reason).collect();
        return Err(StreamError::fatal(format!(
            "{url} refused {} of the objects ({} are there): look at the reason of each; one that \
             is unsupported_type needs Kibana 7.10 or later, or OpenSearch Dashboards",
            errors.len(),
            said["successCount"]
        ))
        .with_source(reasons.join("; ")));
    }
    let context = match status {
        401 | 403 => format!(
            "{url} denied the import: check --username and --password-env, --api-key-env or \
             --aws-region, and that the user may write saved objects"
        ),
        300..=399 => format!(
            "{url} sends elsewhere, as it does for a login or another base path: give --username \
             and --password-env, and the whole address, such as https://host/_dashboards"
        ),
        400 | 404 | 405 => format!(
            "{url} does not know the import: --url is the address of Kibana or OpenSearch \
             Dashboards (port 5601 unless changed; https://host/_dashboards on Amazon OpenSearch \
             Service), not that of the search cluster"
        ),
        413 => {
            format!("{url} takes no body of this size: raise savedObjects.maxImportPayloadBytes")
        }
        _ => format!("{url} failed: try again when it is up"),
    };
    let text: String = String::from_utf8_lossy(answer).chars().take(300).collect();
    Err(StreamError::fatal(context).with_source(format!("{status}: {text}")))
}
