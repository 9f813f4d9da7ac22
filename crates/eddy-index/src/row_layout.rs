//! What the rows of one schema have in common when they become documents: worked out once, not for
//! every row.

use std::sync::Arc;

use eddy_record::{JsonRowWriter, Schema};

use crate::fields::{FieldKind, kind, path};

/// The fields of a schema's columns.
#[derive(Default)]
pub(crate) struct RowLayout {
    // Whose layout it is; none before the first row.
    schema: Option<Arc<Schema>>,
    /// The engine's path of each column's field.
    pub(crate) paths: Arc<[Box<str>]>,
    /// How each column's field is kept.
    pub(crate) kinds: Vec<FieldKind>,
    /// Writes the rows' sources.
    pub(crate) json: JsonRowWriter,
}

impl RowLayout {
    /// Makes it that of `schema`: rows that follow each other mostly share one.
    pub(crate) fn fit(&mut self, schema: &Arc<Schema>) {
        if self.schema.as_ref().is_some_and(|known| Arc::ptr_eq(known, schema)) {
            return;
        }
        let columns = &schema.columns;
        self.paths = columns.iter().map(|column| path(&column.name).into()).collect();
        self.kinds = columns.iter().map(|column| kind(&column.name)).collect();
        self.schema = Some(Arc::clone(schema));
    }
}
