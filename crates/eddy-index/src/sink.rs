//! The sink that scored rows go to.

use std::sync::Arc;

use async_trait::async_trait;
use eddy_record::ScoredRecord;
use eddy_stream::{Rejected, Sink, StreamError};

use crate::document::Document;
use crate::row_layout::RowLayout;
use crate::write::{Action, Operation};
use crate::{Index, IndexError, names};

/// Stores scored rows in the index of their day, under their own ids.
pub struct IndexSink {
    index: Arc<Index>,
}

impl IndexSink {
    /// A sink that writes to `index`.
    pub fn new(index: Arc<Index>) -> Self {
        Self { index }
    }
}

#[async_trait]
impl Sink for IndexSink {
    fn name(&self) -> &str {
        "index"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let mut rejected = Vec::new();
        let mut operations = Vec::with_capacity(rows.len());
        let mut row_idxs = Vec::with_capacity(rows.len());
        let mut days = Days::default();
        let mut layout = RowLayout::default();
        let mut text = Vec::new();
        for (row_idx, row) in rows.iter().enumerate() {
            match Document::from_row(row, &mut layout, &mut text) {
                Ok(document) => {
                    let index = days.name(self.index.alias(), row.created_ms);
                    operations.push(Operation { index, action: Action::Index(document) });
                    row_idxs.push(row_idx);
                }
                Err(error) => rejected.push(Rejected { row_idx, reason: error.reason() }),
            }
        }
        let done = self.index.write(operations).await.map_err(|error| match error {
            IndexError::Closed => StreamError::fatal("the index is closed"),
            error => StreamError::retry("cannot write to the index").with_source(error),
        })?;
        for (row_idx, item) in row_idxs.into_iter().zip(done) {
            if let Err(error) = item {
                rejected.push(Rejected { row_idx, reason: error.reason() });
            }
        }
        rejected.sort_unstable_by_key(|rejected| rejected.row_idx);
        Ok(rejected)
    }
}

/// The name of the last row's day: rows come in order of time, so that one day is mostly enough.
#[derive(Default)]
struct Days {
    last: Option<(i64, Arc<str>)>,
}

impl Days {
    fn name(&mut self, alias: &str, created_ms: i64) -> Arc<str> {
        let day = created_ms.div_euclid(86_400_000);
        match &self.last {
            Some((last, name)) if *last == day => Arc::clone(name),
            _ => {
                let name: Arc<str> = names::daily(alias, created_ms).into();
                self.last = Some((day, Arc::clone(&name)));
                name
            }
        }
    }
}
