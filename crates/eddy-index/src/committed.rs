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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::document::Document;
    use crate::write::{Action, Operation};
    use crate::{Index, IndexSettings};

    // Ids of three partitions, few enough to meet again.
    fn id() -> impl Strategy<Value = String> {
        (0..3_u8, 0..30_u8).prop_map(|(partition, number)| format!("p{partition}:{number:02}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_there_is_found_and_nothing_else(
            commits in prop::collection::vec(prop::collection::vec((id(), any::<bool>()), 1..12), 1..5),
            asked in prop::collection::vec(id(), 1..60),
            in_order in any::<bool>(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let folder = tempfile::tempdir().expect("a folder");
            let index = Index::open(IndexSettings::new(folder.path())).expect("opens");
            let mut there = BTreeSet::new();
            for commit in commits {
                let operation = |(id, is_put): (String, bool)| {
                    if is_put { there.insert(id.clone()) } else { there.remove(&id) };
                    let action = if is_put {
                        Action::Index(Document::parse(&id, "{}").expect("fits"))
                    } else {
                        Action::Delete { id: id.into() }
                    };
                    Operation { index: "x".into(), action }
                };
                let operations = commit.into_iter().map(operation).collect();
                runtime.block_on(index.write(operations)).expect("writes");
            }
            let Some(shard) = index.store().get("x") else { return Ok(()) };
            let mut committed = Committed::new(&shard);
            let mut asked = asked;
            if in_order {
                asked.sort();
            }
            for id in asked {
                prop_assert_eq!(committed.holds(&id).expect("asks"), there.contains(&id), "{}", id);
            }
        }
    }
}
