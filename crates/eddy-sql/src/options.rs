//! What an application is told beside its text.

use arrow::array::{Array as _, ArrayRef};
use eddy_record::Schema;

use crate::Limits;
use crate::run::{columns_text, fnv1a};
use crate::scope::Field;

/// What [`Application::new`](crate::Application::new) is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The columns of the source, as its input schema has them.
    pub schema: Schema,
    /// The name of the source's in-application stream. Default: `SOURCE_SQL_STREAM_001`.
    pub source: String,
    /// The streams whose rows leave, as the outputs of an application definition name them; a name
    /// is that of a stream of the application, or `error_stream`. Default (`None`): every stream
    /// that a pump fills and nothing reads.
    pub outputs: Option<Vec<String>>,
    /// The seed of every forest. Default: 1.
    pub seed: u64,
    /// The application's start, in milliseconds since the Unix epoch: what CURRENT_TIMESTAMP and its
    /// like are.
    pub start_ms: i64,
    /// Event time: how far, in milliseconds, a record's time may be behind the latest one, at least
    /// 0. Rows wait for so long and go on in the order of their times; what comes later still is
    /// late, and goes to the error stream. Default (`None`): there is no event time, and a row's time
    /// is moved up to the stream's.
    pub lateness_ms: Option<i64>,
    /// The field or column that the rows' times are of, which windows that are saved depend on.
    /// Default (`None`): they are times of arrival, or it does not matter.
    pub rowtime: Option<String>,
    /// Whether rows that leave have ids, made of those of the records. Default: no.
    pub has_ids: bool,
    /// Reference data: tables that streams are joined with.
    pub tables: Vec<ReferenceTable>,
    /// What is held at most.
    pub limits: Limits,
}

impl Options {
    /// The name of the source's stream where nothing else is said: the prefix that everybody used,
    /// and the first of the streams that input parallelism made.
    pub const SOURCE: &'static str = "SOURCE_SQL_STREAM_001";

    /// The defaults, for a source of that schema.
    pub fn new(schema: Schema) -> Self {
        Self {
            schema,
            source: Self::SOURCE.to_owned(),
            outputs: None,
            seed: 1,
            start_ms: 0,
            lateness_ms: None,
            rowtime: None,
            has_ids: false,
            tables: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// The same exactly for applications whose snapshots mean the same.
    pub(crate) fn fingerprint(&self, text: &str) -> u64 {
        let schema = serde_json::to_string(&self.schema).unwrap_or_default();
        let outputs = format!("{:?}", self.outputs);
        let mut parts = vec![
            text.to_owned(),
            schema,
            self.source.clone(),
            outputs,
            self.seed.to_string(),
            self.has_ids.to_string(),
        ];
        for table in &self.tables {
            parts.push(table.name.clone());
            parts.extend(
                table.fields.iter().map(|field| format!("{} {:?}", field.name, field.sql_type)),
            );
            let n_rows = table.columns.first().map_or(0, |column| column.len());
            parts.extend((0..n_rows).map(|row| columns_text(&table.columns, row)));
        }
        if let Some(lateness_ms) = self.lateness_ms {
            parts.push(format!("lateness {lateness_ms} ms"));
        }
        if let Some(rowtime) = &self.rowtime {
            parts.push(format!("rowtime {rowtime}"));
        }
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.bytes().chain([0])).collect();
        fnv1a(&bytes)
    }
}

/// A table of reference data.
#[derive(Clone, Debug)]
pub struct ReferenceTable {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) columns: Vec<ArrayRef>,
}

impl ReferenceTable {
    /// A table of that name with the rows of records of a schema.
    pub fn new(name: &str, schema: &Schema, records: &[eddy_record::Record]) -> Self {
        let mut batch = crate::InputBatch::new(schema, false, false);
        for record in records {
            batch.push(record, &crate::Arrival::default());
        }
        let fields = schema.columns.iter().filter_map(|column| {
            let sql_type = crate::types::Type::from_sql(column.sql_type)?;
            Some(Field::new(&column.name, sql_type))
        });
        Self { name: name.to_owned(), fields: fields.collect(), columns: batch.take().0 }
    }

    /// How many rows it has.
    pub fn n_rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.len())
    }
}
