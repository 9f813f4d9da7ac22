//! Documents in the order of writing, from wherever the last look ended: what scrolls without a sort
//! and `_delete_by_query` go by. It costs what it returns, not what the query finds.

use std::sync::Arc;

use eddy_stream::{Clock as _, SystemClock};
use serde_json::Value;
use tantivy::query::{EnableScoring, Query};
use tantivy::{DocAddress, DocId, DocSet as _, Searcher, TERMINATED};

use crate::IndexError;
use crate::query::{QueryParser, known};
use crate::search::guarded;
use crate::store::{Shard, stored};
use crate::write::{Action, Operation, digest};

/// Indices as they are at one moment.
pub(crate) struct Snapshot {
    pub(crate) shards: Vec<(Arc<str>, Searcher)>,
}

impl Snapshot {
    pub(crate) fn of(shards: &[Arc<Shard>]) -> Self {
        let one = |shard: &Arc<Shard>| (Arc::clone(&shard.name), shard.reader.searcher());
        Self { shards: shards.iter().map(one).collect() }
    }
}

/// Where a walk stands: the next document to look at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    shard_idx: usize,
    segment_ord: u32,
    doc: DocId,
}

/// The next documents that a query finds, and the cursor behind them.
pub(crate) fn next(
    snapshot: &Snapshot,
    query: &dyn Query,
    cursor: &mut Cursor,
    n_documents: usize,
) -> Result<Vec<(usize, DocAddress)>, IndexError> {
    let mut found = Vec::new();
    while let Some((_, searcher)) = snapshot.shards.get(cursor.shard_idx) {
        let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
        let first = cursor.segment_ord as usize;
        for segment in searcher.segment_readers().iter().skip(first) {
            let mut documents = weight.scorer(segment, 1.0)?;
            let mut doc = documents.doc();
            if doc < cursor.doc {
                doc = documents.seek(cursor.doc);
            }
            while doc != TERMINATED {
                if found.len() == n_documents {
                    cursor.doc = doc;
                    return Ok(found);
                }
                if !segment.is_deleted(doc) {
                    found.push((cursor.shard_idx, DocAddress::new(cursor.segment_ord, doc)));
                }
                doc = documents.advance();
            }
            cursor.segment_ord += 1;
            cursor.doc = 0;
        }
        *cursor = Cursor { shard_idx: cursor.shard_idx + 1, ..Cursor::default() };
    }
    Ok(found)
}

/// A walk over what a request's query finds.
pub(crate) struct Walk {
    snapshot: Snapshot,
    query: Box<dyn Query>,
    cursor: Cursor,
}

impl Walk {
    pub(crate) fn of_request(shards: &[Arc<Shard>], body: &Value) -> Result<Self, IndexError> {
        let body = known(body, "delete_by_query", &["query"])?;
        let query = match body.get("query") {
            Some(query) => QueryParser::new(SystemClock.now_ms()).parse(query)?,
            None => return Err(IndexError::illegal("query is missing")),
        };
        Ok(Self { snapshot: Snapshot::of(shards), query, cursor: Cursor::default() })
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.cursor.shard_idx >= self.snapshot.shards.len()
    }

    /// What deletes the next documents as they are now; empty at the end.
    pub(crate) fn deletions(&mut self, n_documents: usize) -> Result<Vec<Operation>, IndexError> {
        guarded(|| {
            let found = next(&self.snapshot, &*self.query, &mut self.cursor, n_documents)?;
            let delete = |(shard_idx, address): (usize, DocAddress)| {
                let (name, searcher) = &self.snapshot.shards[shard_idx];
                let (id, source) = stored(searcher, address)?;
                let action = Action::DeleteUnchanged { id: id.into(), digest: digest(&source) };
                Ok(Operation { index: Arc::clone(name), action })
            };
            found.into_iter().map(delete).collect()
        })
    }
}
