//! Dashboards over scored rows: saved objects of Kibana and OpenSearch Dashboards, and a dashboard
//! of Grafana.
//!
//! Both products migrate saved objects of older versions and refuse those of newer ones. The
//! objects here have the newest versions that both know, and only what both have: no Lens, no
//! controls, no maps.

mod grafana;
mod import;
mod objects;

use eddy_record::{Schema, SqlType};
use serde_json::{Value, json};

use super::OpenSearchSettings;
use super::template::{ilm_policy, index_template, ism_policy, name, pattern};

pub use import::Imported;

/// The scores' column, and the time's.
const SCORE: &str = "ANOMALY_SCORE";
const CREATED: &str = "created";

/// What is to be looked at, and by which columns.
#[derive(Clone, Debug)]
pub struct Dashboards {
    settings: OpenSearchSettings,
    schema: Schema,
    key: Option<String>,
}

impl Dashboards {
    /// Dashboards over the rows of that schema in the settings' indices. `key` is the column that
    /// tells sensors apart; default: the first column of text, if there is one.
    ///
    /// # Errors
    /// The settings are out of range, or the schema lacks the key, the score or the time.
    pub fn new(
        settings: &OpenSearchSettings,
        schema: &Schema,
        key: Option<&str>,
    ) -> Result<Self, eddy_stream::StreamError> {
        settings.validate()?;
        for column in [Some(SCORE), Some(CREATED), key].into_iter().flatten() {
            if schema.column_idx(column).is_none() {
                let names: Vec<&str> = schema.columns.iter().map(|c| c.name.as_str()).collect();
                return Err(eddy_stream::StreamError::fatal(format!(
                    "rows have no column {column}, which the dashboards show: they have {}",
                    names.join(", ")
                )));
            }
        }
        let is_text =
            |column: &&eddy_record::Column| matches!(column.sql_type, SqlType::Varchar { .. });
        let first = || schema.columns.iter().find(is_text).map(|column| column.name.clone());
        Ok(Self {
            settings: settings.clone(),
            schema: schema.clone(),
            key: key.map(str::to_owned).or_else(first),
        })
    }

    /// The names of the indices that are looked at, such as `anomalies-2*`.
    pub fn pattern(&self) -> String {
        pattern(&self.settings)
    }

    /// The column that tells sensors apart.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The saved objects: index pattern, search by score, charts, dashboard.
    pub fn saved_objects(&self) -> Vec<Value> {
        objects::all(self)
    }

    /// The saved objects, one a line, as both products import them.
    pub fn to_ndjson(&self) -> String {
        self.saved_objects().iter().map(|object| format!("{object}\n")).collect()
    }

    /// A dashboard of Grafana with the same charts; its import asks for the data source.
    pub fn grafana(&self) -> Value {
        grafana::dashboard(self)
    }

    /// The body of `PUT _index_template/NAME`, with [`Dashboards::template_name`].
    pub fn index_template(&self) -> Value {
        index_template(&self.settings, &self.schema, None)
    }

    /// The same for Elasticsearch, whose template names the lifecycle policy.
    pub fn index_template_with_ilm(&self) -> Value {
        index_template(&self.settings, &self.schema, Some(&self.template_name()))
    }

    /// The name of index template and policy.
    pub fn template_name(&self) -> String {
        name(&self.settings)
    }

    /// The body of `PUT _plugins/_ism/policies/NAME` of OpenSearch, `None` without a retention.
    pub fn ism_policy(&self) -> Option<Value> {
        self.settings.install?.retention_days.map(|days| ism_policy(&self.settings, days))
    }

    /// The body of `PUT _ilm/policy/NAME` of Elasticsearch, `None` without a retention.
    pub fn ilm_policy(&self) -> Option<Value> {
        self.settings.install?.retention_days.map(ilm_policy)
    }

    /// Every export with the name of its file.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let pretty = |body: &Value| format!("{body:#}\n");
        let mut files = vec![
            ("saved-objects.ndjson", self.to_ndjson()),
            ("grafana.json", pretty(&self.grafana())),
            ("index-template.json", pretty(&self.index_template())),
        ];
        if let (Some(ism), Some(ilm)) = (self.ism_policy(), self.ilm_policy()) {
            files.push(("ism-policy.json", pretty(&ism)));
            files.push(("ilm-policy.json", pretty(&ilm)));
            files.push(("index-template-ilm.json", pretty(&self.index_template_with_ilm())));
        }
        files
    }

    /// Columns of a row that a reader wants to see, in order.
    fn shown_columns(&self) -> Vec<&str> {
        let is_shown = |column: &&eddy_record::Column| {
            column.sql_type != SqlType::Json && column.name != SCORE && column.name != CREATED
        };
        let mut names: Vec<&str> = self
            .schema
            .columns
            .iter()
            .filter(is_shown)
            .map(|column| column.name.as_str())
            .collect();
        names.push(SCORE);
        names
    }

    /// What the ids of saved objects begin with.
    fn id(&self, what: &str) -> String {
        format!("eddy-{}-{what}", self.settings.index)
    }
}

/// The bounds of the score ranges that the charts tell apart.
fn ranges() -> Vec<Value> {
    vec![
        json!({"from": 0, "to": 1}),
        json!({"from": 1, "to": 1.5}),
        json!({"from": 1.5, "to": 2}),
        json!({"from": 2, "to": 3}),
        json!({"from": 3}),
    ]
}
