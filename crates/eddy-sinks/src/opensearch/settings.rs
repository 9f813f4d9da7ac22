//! What an OpenSearch sink is told.

use std::fmt;
use std::path::PathBuf;

use eddy_stream::StreamError;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{BULK_REQUEST_BYTES, BULK_REQUEST_TIMEOUT_MS, GIVE_UP_AFTER_MS};

/// Settings of an [`OpenSearchSink`](crate::OpenSearchSink).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenSearchSettings {
    /// The cluster's address, such as `https://search.example.com:9200`; a path before `_bulk` is
    /// kept.
    pub url: String,
    /// The index, data stream or alias, or what rotated names begin with. Default: `anomalies`.
    #[serde(default = "index")]
    pub index: String,
    /// How often a new index begins, by the rows' `created`. Default: `one_day`.
    #[serde(default)]
    pub rotation: Rotation,
    /// Whether a row that is there already is written over. Default: `index`.
    #[serde(default)]
    pub write_as: WriteAs,
    /// Whether documents get ids made of their rows' positions. Default: true. Without them a
    /// replay adds rows again; only time-series collections of Amazon OpenSearch Serverless, which
    /// take no ids, need it false.
    #[serde(default = "ids")]
    pub ids: bool,
    /// Whether the sink puts an index template, and a lifecycle policy if it is to delete old
    /// indices, at every start: `true`, `false` or a table. Default: false.
    #[serde(default, deserialize_with = "install", skip_serializing_if = "Option::is_none")]
    pub install: Option<InstallSettings>,
    /// How the sink says who it is. Default: it does not.
    #[serde(default)]
    pub auth: Auth,
    /// A file of PEM certificates to trust besides those of the system.
    pub ca_certificate: Option<PathBuf>,
    /// Bytes of one request, 1..=100 MiB. Default: 5 MiB. One larger document makes a request alone.
    #[serde(default = "max_request_bytes")]
    pub max_request_bytes: usize,
    /// How long one request may take, answer included, in milliseconds, at least 1. Default: 60 000.
    #[serde(default = "request_timeout_ms")]
    pub request_timeout_ms: u64,
    /// How long rows are tried again before the partition starts again at its last commit, in
    /// milliseconds. Default: 300 000.
    #[serde(default = "give_up_after_ms")]
    pub give_up_after_ms: u64,
}

/// What a sink installs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstallSettings {
    /// Indices older than this many days are deleted, at least 1. Default: they are kept.
    pub retention_days: Option<u32>,
}

fn install<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<InstallSettings>, D::Error> {
    struct Given;
    impl<'de> Visitor<'de> for Given {
        type Value = Option<InstallSettings>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true, false or a table such as { retention_days = 30 }")
        }

        fn visit_bool<E>(self, wanted: bool) -> Result<Self::Value, E> {
            Ok(wanted.then(InstallSettings::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            InstallSettings::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Given)
}

/// How often a new index begins; names are those of Amazon Data Firehose, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// `anomalies`: never. For data streams and aliases that roll over by themselves.
    NoRotation,
    /// `anomalies-2026-11-23-12`.
    OneHour,
    /// `anomalies-2026-11-23`.
    #[default]
    OneDay,
    /// `anomalies-2026-w48`: weeks start on Sunday, the year's first contains its first Saturday.
    OneWeek,
    /// `anomalies-2026-11`.
    OneMonth,
}

/// What becomes of a row whose id is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteAs {
    /// It is written over, with the same content.
    #[default]
    Index,
    /// It stays, and counts as delivered. Data streams accept nothing else.
    Create,
}

/// How the sink says who it is. Secrets come from the environment, never from a settings file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// It does not.
    #[default]
    None,
    /// A user's name and password.
    Basic {
        /// The name.
        username: String,
        /// The variable of the environment that holds the password.
        password_env: String,
    },
    /// An API key of Elasticsearch, in its encoded form.
    ApiKey {
        /// The variable of the environment that holds it.
        key_env: String,
    },
    /// AWS Signature Version 4, with the credentials of the environment, the AWS profile or the
    /// machine's role.
    Aws {
        /// The region of the domain or collection.
        region: String,
        /// `es` for Amazon OpenSearch Service (the default), `aoss` for Serverless.
        #[serde(default = "service")]
        service: String,
    },
}

fn index() -> String {
    "anomalies".to_owned()
}

fn ids() -> bool {
    true
}

fn max_request_bytes() -> usize {
    BULK_REQUEST_BYTES
}

fn request_timeout_ms() -> u64 {
    BULK_REQUEST_TIMEOUT_MS
}

fn give_up_after_ms() -> u64 {
    GIVE_UP_AFTER_MS
}

fn service() -> String {
    "es".to_owned()
}

impl OpenSearchSettings {
    /// The defaults.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            index: index(),
            rotation: Rotation::default(),
            write_as: WriteAs::default(),
            ids: ids(),
            install: None,
            auth: Auth::default(),
            ca_certificate: None,
            max_request_bytes: max_request_bytes(),
            request_timeout_ms: request_timeout_ms(),
            give_up_after_ms: give_up_after_ms(),
        }
    }

    /// Checks what can be checked without a connection.
    ///
    /// # Errors
    /// A field is out of its range; the error names it.
    pub fn validate(&self) -> Result<(), StreamError> {
        let refused = |what: String| Err(StreamError::fatal(what));
        let url = reqwest::Url::parse(&self.url);
        if !url.as_ref().is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        {
            return refused(
                "url must be such as https://search.example.com:9200 (http or https)".to_owned(),
            );
        }
        if url.is_ok_and(|url| !url.username().is_empty() || url.password().is_some()) {
            return refused(
                "url holds a name or a password: use auth, which takes them from the \
                            environment"
                    .to_owned(),
            );
        }
        let forbidden = [' ', '"', '*', '\\', '<', '|', ',', '>', '/', '?', '#', ':'];
        let name = &self.index;
        if name.is_empty()
            || name.len() > 200
            || name.starts_with(['-', '_', '+', '.'])
            || name.contains(forbidden)
            || name.chars().any(char::is_uppercase)
        {
            return refused(format!(
                "index must be the name of an index (lower case, no spaces or any of \
                 \"*\\<|,>/?#:), found {name:?}"
            ));
        }
        if !(1..=100 << 20).contains(&self.max_request_bytes) {
            return refused(format!(
                "max_request_bytes must be within 1..={}, found {}",
                100 << 20,
                self.max_request_bytes
            ));
        }
        if self.request_timeout_ms == 0 {
            return refused("request_timeout_ms must be at least 1, found 0".to_owned());
        }
        if self.write_as == WriteAs::Create && !self.ids && self.rotation != Rotation::NoRotation {
            return refused(
                "a data stream has one name: set rotation = \"no_rotation\"".to_owned(),
            );
        }
        self.validate_retention()?;
        match &self.auth {
            Auth::Aws { service, .. } if service != "es" && service != "aoss" => {
                refused(format!("auth.service must be es or aoss, found {service:?}"))
            }
            _ => Ok(()),
        }
    }

    fn validate_retention(&self) -> Result<(), StreamError> {
        let Some(days) = self.install.and_then(|install| install.retention_days) else {
            return Ok(());
        };
        let serverless = matches!(&self.auth, Auth::Aws { service, .. } if service == "aoss");
        let problem = if days == 0 {
            "install.retention_days must be at least 1, found 0"
        } else if self.rotation == Rotation::NoRotation {
            "install.retention_days would delete the only index: choose a rotation"
        } else if serverless {
            "install.retention_days: a Serverless collection has data lifecycle policies of its \
             own, set them there"
        } else {
            return Ok(());
        };
        Err(StreamError::fatal(problem))
    }
}
