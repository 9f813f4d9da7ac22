//! Applications in the SQL of Kinesis Data Analytics, run as they are.
//!
//! The path of data: text -> statements (`parse`) -> a graph of in-application streams and pumps
//! (`plan`) -> operators over columns of Arrow (`run`) -> rows. sqlparser reads queries under a
//! dialect of ours; DataFusion evaluates expressions, functions, casts and aggregates; what is
//! special is here: streams and pumps, watermarks and windows, the forest functions, the rules of
//! types and names.
//!
//! - [`Application`] is planned from a text and [`Options`], or refused whole with a [`SqlError`]
//!   that says where and what to write instead. Rows of an [`InputBatch`] are pushed into it; what
//!   leaves is an [`Emission`]. [`Application::advance_watermark`] lets time pass without rows;
//!   [`Application::snapshot`] is all that its future depends on.
//! - Time is data: a row's ROWTIME is given with it and never goes back; a window's rows leave when
//!   a later row or a watermark has passed its end. What comes out does not depend on how rows are
//!   put into batches.
//! - [`Definition`] reads application definitions as the API, CloudFormation and Terraform have them.
//! - An expression's error belongs to one row: it goes to the error stream ([`ErrorRow`]), the
//!   others go on.
//!
//! ```
//! use eddy_record::{Record, Schema, Value};
//! use eddy_sql::{Application, Arrival, Options};
//!
//! let text = r#"
//!     CREATE OR REPLACE STREAM "HIGH" ("iotName" VARCHAR(64), "iotValue" DOUBLE);
//!     CREATE OR REPLACE PUMP "P" AS INSERT INTO "HIGH"
//!     SELECT STREAM "iotName", "iotValue" FROM "SOURCE_SQL_STREAM_001" WHERE "iotValue" > 20;"#;
//! let mut application = Application::new(text, Options::new(Schema::walkthrough()))?;
//! let mut batch = application.batch();
//! for (number, value) in [15.0, 25.0].into_iter().enumerate() {
//!     let record = Record { values: [Value::Text("a".into()), Value::Double(value)].into() };
//!     let arrival = Arrival { time_ms: 1000 * number as i64, ..Arrival::default() };
//!     batch.push(&record, &arrival);
//! }
//! let mut lines = Vec::new();
//! application.push(&mut batch)?.write_ndjson(&mut lines);
//! assert_eq!(
//!     String::from_utf8(lines)?,
//!     "{\"stream\":\"HIGH\",\"rowtime\":\"1970-01-01T00:00:01.000Z\",\
//!      \"row\":{\"iotName\":\"a\",\"iotValue\":25}}\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It does no I/O, reads no clock and starts no thread. The SQL Reference of Kinesis Data Analytics
//! is the specification; docs/from-kinesis-analytics.md lists what is supported and what differs.

mod application;
mod definition;
mod emission;
mod error;
mod expr;
mod input;
mod limits;
mod options;
mod parse;
mod plan;
mod reference;
mod rowtime;
mod run;
mod scope;
mod types;
mod watch;
mod yaml;

pub use application::{Application, Counters, declared_columns};
pub use definition::{DefinedOutput, DefinedReference, Definition, DefinitionError};
pub use emission::Emission;
pub use error::{Place, RunError, SqlError};
pub use input::{Arrival, InputBatch};
pub use limits::Limits;
pub use options::{Options, ReferenceTable};
pub use rowtime::Rowtime;
pub use run::{ErrorRow, OutputRow, StreamRows};
pub use watch::Watched;
