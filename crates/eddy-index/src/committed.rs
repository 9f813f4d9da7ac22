//! Whether an index has an id, asked for one id after the other.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use tantivy::Searcher;

use crate::store::Shard;

/// Misses that are looked behind before it has shown that this spares anything.
const N_FIRST_MISSES: usize = 64;

/// The ids of an index at one moment.
///
/// Most ids that are written are new, and follow an id that was new: behind an id that is missing it
/// looks which comes next, so that all up to there are known to be missing too. Ids of several
/// partitions, each ascending, are so many gaps.
pub(crate) struct Committed {
    shard: Arc<Shard>,
    searcher: Searcher,
    // From an id that is missing to the next that is there, if any.
    gaps: BTreeMap<Box<str>, Option<Box<str>>>,
    n_in_gaps: usize,
    n_misses: usize,
}

impl Committed {
    pub(crate) fn new(shard: &Arc<Shard>) -> Self {
        let searcher = shard.reader.searcher();
        let gaps = BTreeMap::new();
        Self { shard: Arc::clone(shard), searcher, gaps, n_in_gaps: 0, n_misses: 0 }
    }

    /// Whether the index has that id.
    pub(crate) fn holds(&mut self, id: &str) -> tantivy::Result<bool> {
        let up_to_it = (Bound::Unbounded, Bound::Included(id));
        if let Some((_, until)) = self.gaps.range::<str, _>(up_to_it).next_back()
            && until.as_deref().is_none_or(|until| id < until)
        {
            self.n_in_gaps += 1;
            return Ok(false);
        }
        if self.shard.find(&self.searcher, id)?.is_some() {
            return Ok(true);
        }
        self.n_misses += 1;
        // Ids in no order fall into no gap that is known.
        if self.n_misses <= N_FIRST_MISSES + self.n_in_gaps {
            let until = self.shard.next_id(&self.searcher, id)?;
            self.gaps.insert(id.into(), until);
        }
        Ok(false)
    }
}
