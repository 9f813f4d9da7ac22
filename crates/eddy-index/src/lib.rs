//! The embedded index: scored rows in a folder, behind an Elasticsearch-compatible endpoint.
//!
//! It stands at the end of the flow. [`IndexSink`] writes the rows that a detector made, one index
//! a day (`anomalies-YYYY.MM.DD`) under the alias `anomalies`; a write returns when its rows are
//! durable and searchable. The page asks through [`Index::search`] and [`Index::subscribe`];
//! everyone else through [`router`], with the same query JSON that they would send to
//! Elasticsearch.
//!
//! - [`Index`] is an open folder, [`IndexSettings`] what can be set about it.
//! - [`IndexSink`] is the pipeline's way in.
//! - [`router`] is the endpoint: `_bulk`, `_search`, `_count`, `_doc`, `_mapping` and a few more.
//! - [`LiveDocument`] is a document that was just committed.
//! - [`Snapshot`] is the index at one moment: columns read row by row, documents in any order.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let index = eddy_index::Index::open(eddy_index::IndexSettings::new(folder.path()))?;
//! let query = serde_json::json!({"query": {"range": {"ANOMALY_SCORE": {"gte": 2.0}}}});
//! let answer = index.search("anomalies", &query)?;
//! assert_eq!(answer["hits"]["total"]["value"], 0);
//! # Ok(())
//! # }
//! ```
//!
//! Under the alias an id is one document: written again with a `created` of another day it moves
//! there. [`IndexSink`] alone does not look for it in other days, since its rows keep theirs.
//!
//! Dates are `created` only; other strings are keywords, and numbers are doubles. It does not
//! analyse text, rank by relevance, keep versions of documents, or replicate. Whatever a request
//! asks for that is not supported is a 400 that names it.

mod aggs;
mod buckets;
mod bulk;
mod calendar;
mod committed;
mod date_format;
mod dates;
mod document;
mod engine_document;
mod error;
mod fetch;
mod fields;
mod filters;
mod folder;
mod group;
mod histogram_guard;
mod http;
mod index;
pub mod limits;
mod live;
mod mapping;
mod names;
mod query;
mod querystring;
mod retention;
mod row_layout;
mod scroll;
mod search;
mod settings;
mod sink;
mod snapshot;
mod sort;
mod source;
mod store;
mod top_hits;
mod typed_keys;
mod walk;
mod write;

pub use error::IndexError;
pub use http::router;
pub use index::Index;
pub use live::LiveDocument;
pub use settings::IndexSettings;
pub use sink::IndexSink;
pub use snapshot::{Place, ScanRequest, ScanRow, Snapshot, date_ms};
