//! Index template and lifecycle policy, put at the start of a sink that is to have them.

use std::time::Duration;

use eddy_record::Schema;
use eddy_stream::{Backoff, FailureLog, StreamError};
use serde_json::Value;

use super::answer::reason_of;
use super::service::Service;
use super::template::{ilm_policy, index_template, ism_policy, name};
use super::{Auth, InstallSettings, OpenSearchSettings};

/// Who manages the age of indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifecycle {
    /// Index lifecycle management of Elasticsearch.
    Ilm,
    /// Index state management of OpenSearch, at this path.
    Ism(&'static str),
}

/// Puts what `install` asks for; what is there already is replaced by the same.
pub(super) async fn install(
    service: &Service,
    settings: &OpenSearchSettings,
    install: InstallSettings,
    schema: &Schema,
) -> Result<(), StreamError> {
    let installation = Installation { service, settings };
    let name = name(settings);
    let mut ilm = None;
    if let Some(days) = install.retention_days {
        match installation.lifecycle().await? {
            Lifecycle::Ilm => {
                let path = format!("_ilm/policy/{name}");
                installation.put("the lifecycle policy", &path, &ilm_policy(days)).await?;
                ilm = Some(name.as_str());
            }
            Lifecycle::Ism(policies) => {
                let path = format!("{policies}/{name}");
                installation.put_ism(&path, &ism_policy(settings, days)).await?;
            }
        }
    }
    let template = index_template(settings, schema, ilm);
    installation.put("the index template", &format!("_index_template/{name}"), &template).await?;
    tracing::info!(url = settings.url, name, "index template and policy are installed");
    Ok(())
}

struct Installation<'a> {
    service: &'a Service,
    settings: &'a OpenSearchSettings,
}

impl Installation<'_> {
    /// Which product answers: OpenSearch says so, Elasticsearch says nothing.
    async fn lifecycle(&self) -> Result<Lifecycle, StreamError> {
        let (status, body) = self.call("GET", "", None).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let version = &answer["version"];
        if status != 200 || !version["number"].is_string() {
            return Err(self.refused("to say what it is", status, &body));
        }
        Ok(match version["distribution"].as_str() {
            Some("opensearch") => Lifecycle::Ism("_plugins/_ism/policies"),
            // Elasticsearch of Amazon's service has the plugin's older path.
            _ if matches!(self.settings.auth, Auth::Aws { .. }) => {
                Lifecycle::Ism("_opendistro/_ism/policies")
            }
            _ => Lifecycle::Ilm,
        })
    }

    async fn put(&self, what: &str, path: &str, body: &Value) -> Result<(), StreamError> {
        match self.call("PUT", path, Some(body)).await? {
            (200 | 201, _) => Ok(()),
            (status, answer) => Err(self.refused(what, status, &answer)),
        }
    }

    /// A policy that is there is replaced only under its number, and only if it differs: every
    /// replacement makes a version.
    async fn put_ism(&self, path: &str, body: &Value) -> Result<(), StreamError> {
        let what = "the lifecycle policy";
        let (status, answer) = self.call("GET", path, None).await?;
        let there: Value = serde_json::from_slice(&answer).unwrap_or_default();
        match status {
            200 if is_part(&body["policy"], &there["policy"]) => Ok(()),
            200 => {
                let (number, term) = (&there["_seq_no"], &there["_primary_term"]);
                let path = format!("{path}?if_seq_no={number}&if_primary_term={term}");
                self.put(what, &path, body).await
            }
            404 => self.put(what, path, body).await,
            _ => Err(self.refused(what, status, &answer)),
        }
    }

    /// Sends a request until there is an answer that tries again cannot mend.
    async fn call(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Vec<u8>), StreamError> {
        let url = &self.settings.url;
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let give_up_after = Duration::from_millis(self.settings.give_up_after_ms);
        let mut pause = Backoff::new(Duration::from_millis(100), Duration::from_secs(10), url);
        let mut failures = FailureLog::default();
        loop {
            let reason = match self.service.call(method, path, body.clone()).await {
                Ok((429 | 500..=599, body)) => reason_of(&body),
                Ok(answer) => return Ok(answer),
                Err(reason) => reason,
            };
            if pause.failing_for() >= give_up_after {
                let context = format!("cannot install the index template: {url} keeps failing");
                return Err(StreamError::fatal(context).with_source(reason));
            }
            if let Some(failing_for) = failures.failed() {
                tracing::warn!(url, reason, ?failing_for, "installing again");
            }
            pause.wait().await;
        }
    }

    fn refused(&self, what: &str, status: u16, body: &[u8]) -> StreamError {
        let url = &self.settings.url;
        let reason = format!("{status}: {}", reason_of(body));
        let context = match status {
            401 | 403 => format!(
                "{url} denied {what}: check auth and the user's permissions \
                 (manage_index_templates; manage_ilm, or cluster:admin/opendistro/ism/policy/*), \
                 or set install = false"
            ),
            _ if what.contains("policy") => format!(
                "{url} refused {what}: it may lack index lifecycle management; leave \
                 install.retention_days out and delete old indices yourself"
            ),
            _ => format!(
                "{url} refused {what}: it takes OpenSearch, or Elasticsearch 7.8 or \
                 later; correct url, or set install = false and make the template yourself"
            ),
        };
        StreamError::fatal(context).with_source(reason)
    }
}

/// Whether everything that `part` says is said by `whole`, which may say more.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| is_part(part, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(p, w)| is_part(p, w))
        }
        (part, whole) => part == whole,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_that_says_more_is_still_the_same() {
        let ours = json!({"states": [{"name": "kept", "actions": []}]});
        let kept = json!({"states": [{"name": "kept", "actions": [], "x": 1}], "policy_id": "p"});
        assert!(is_part(&ours, &kept));
        assert!(!is_part(&ours, &json!({"states": []})));
        assert!(!is_part(&ours, &json!({"states": [{"name": "kept", "actions": [1]}]})));
    }
}
