//! What the operations of one commit have done so far, index by index.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tantivy::indexer::UserOperation;

use crate::IndexError;
use crate::committed::Committed;
use crate::document::{Document, Texts};
use crate::fields::id_term;
use crate::limits::{WRITE_BATCH_BYTES, WRITE_BATCH_OPERATIONS};
use crate::live::LiveDocument;
use crate::store::Shard;

/// The indices that operations of one commit have asked about or changed.
#[derive(Default)]
pub(crate) struct Group {
    shards: Vec<ShardGroup>,
    by_name: HashMap<Arc<str>, usize>,
    /// Documents to tell subscribers of.
    pub(crate) live: Vec<LiveDocument>,
}

/// What became of one index.
pub(crate) struct ShardGroup {
    pub(crate) shard: Arc<Shard>,
    committed: Committed,
    // By id: whether it is there by now.
    pending: HashMap<Texts, bool>,
    // Ids whose new version went to another day: to be removed here when that is durable.
    moved: HashSet<Box<str>>,
    is_touched: bool,
    // What the writer has not been given yet.
    operations: Vec<UserOperation<Document>>,
    n_bytes: usize,
}

impl Group {
    /// The place of an index in the group.
    pub(crate) fn place(&mut self, shard: &Arc<Shard>) -> usize {
        if let Some(at) = self.place_of(&shard.name) {
            return at;
        }
        self.by_name.insert(Arc::clone(&shard.name), self.shards.len());
        self.shards.push(ShardGroup::new(shard));
        self.shards.len() - 1
    }

    /// The place of an index in the group, if it was asked about.
    pub(crate) fn place_of(&self, name: &str) -> Option<usize> {
        // Mostly all operations are for one.
        match self.shards.last() {
            Some(last) if *last.shard.name == *name => Some(self.shards.len() - 1),
            _ => self.by_name.get(name).copied(),
        }
    }

    pub(crate) fn at(&mut self, at: usize) -> &mut ShardGroup {
        &mut self.shards[at]
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.len()
    }

    /// The names of the indices that were changed.
    pub(crate) fn touched(&self) -> BTreeSet<Arc<str>> {
        let touched = self.shards.iter().filter(|it| it.is_touched);
        touched.map(|it| Arc::clone(&it.shard.name)).collect()
    }

    /// The source of a document by the operations so far: none where they have not touched its id,
    /// and none within where they have removed it.
    pub(crate) fn source(&self, name: &str, id: &str) -> Option<Option<String>> {
        let shard = &self.shards[self.place_of(name)?];
        let (texts, is_there) = shard.pending.get_key_value(id)?;
        Some(is_there.then(|| texts.source().to_owned()))
    }
}

impl ShardGroup {
    fn new(shard: &Arc<Shard>) -> Self {
        Self {
            shard: Arc::clone(shard),
            committed: Committed::new(shard),
            pending: HashMap::new(),
            moved: HashSet::new(),
            is_touched: false,
            operations: Vec::new(),
            n_bytes: 0,
        }
    }

    /// Whether there is a document of that id by now.
    pub(crate) fn holds(&mut self, id: &str) -> Result<bool, IndexError> {
        match self.pending.get(id) {
            Some(is_there) => Ok(*is_there),
            None => Ok(self.committed.holds(id)?),
        }
    }

    /// Stores a document in place of any of its id; says whether there was one. With `only_new` it is
    /// refused in this case.
    pub(crate) fn put(&mut self, document: Document, only_new: bool) -> Result<bool, IndexError> {
        let texts = document.texts.clone();
        let refused =
            |is_here| if is_here && only_new { Err(conflict(document.texts.id())) } else { Ok(()) };
        let is_here = match self.pending.entry(texts) {
            Entry::Vacant(entry) => {
                let is_here = self.committed.holds(document.texts.id())?;
                refused(is_here)?;
                entry.insert(true);
                is_here
            }
            Entry::Occupied(entry) => {
                let is_here = *entry.get();
                refused(is_here)?;
                // With its key goes the source before.
                entry.remove_entry();
                self.pending.insert(document.texts.clone(), true);
                is_here
            }
        };
        // From here on the writer may hold a part of this: if the rest fails, it is dropped.
        self.is_touched = true;
        // It may come back to where it was moved from in this very group.
        let was_here = !self.moved.is_empty() && self.moved.remove(document.texts.id());
        if is_here || was_here {
            self.operations.push(UserOperation::Delete(id_term(document.texts.id())));
        }
        self.n_bytes += document.texts.n_bytes();
        self.operations.push(UserOperation::Add(document));
        Ok(is_here)
    }

    /// Removes the document of that id.
    pub(crate) fn delete(&mut self, id: &str) {
        self.is_touched = true;
        self.operations.push(UserOperation::Delete(id_term(id)));
        self.set_missing(id);
    }

    /// Counts the document of that id as removed: it is when what it became elsewhere is durable.
    pub(crate) fn move_away(&mut self, id: &str) {
        self.set_missing(id);
        self.moved.insert(id.into());
    }

    fn set_missing(&mut self, id: &str) {
        self.pending.remove(id);
        self.pending.insert(Texts::of_id(id), false);
    }

    /// Removes what has moved elsewhere; says whether there was any.
    pub(crate) fn delete_moved(&mut self) -> bool {
        let moved = std::mem::take(&mut self.moved);
        self.operations.extend(moved.iter().map(|id| UserOperation::Delete(id_term(id))));
        self.is_touched |= !moved.is_empty();
        !moved.is_empty()
    }

    /// What the writer has not been given yet, if it is worth a batch.
    pub(crate) fn is_batch(&self) -> bool {
        self.operations.len() >= WRITE_BATCH_OPERATIONS || self.n_bytes >= WRITE_BATCH_BYTES
    }

    /// Takes what the writer has not been given yet.
    pub(crate) fn take_operations(&mut self) -> Vec<UserOperation<Document>> {
        self.n_bytes = 0;
        std::mem::take(&mut self.operations)
    }
}

/// What a document of an id that is there already is refused with.
pub(crate) fn conflict(id: &str) -> IndexError {
    IndexError::Conflict { id: id.to_owned() }
}
