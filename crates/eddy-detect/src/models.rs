//! The models in memory: a forest a key, the least recently used leaving first.

use std::collections::{BTreeMap, HashMap};

use rcf::Forest;

use crate::Grader;

/// Which model a record belongs to: the text of its key column, or the one model of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelKey(Option<Box<str>>);

impl ModelKey {
    /// The key as bytes, distinct for distinct keys, for a state store.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            None => b"partition".to_vec(),
            Some(key) => [b"key/", key.as_bytes()].concat(),
        }
    }

    /// The model that a partition has where no column is the key.
    pub fn partition() -> Self {
        Self(None)
    }

    /// The model of one key.
    pub fn of(key: impl Into<Box<str>>) -> Self {
        Self(Some(key.into()))
    }
}

/// A saved model that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes are not a model that this version can read.
    #[error("a saved model cannot be read")]
    Unreadable(#[source] rcf::SnapshotError),
    /// What the model's grades depend on is not what this version wrote.
    #[error("the grades of a saved model cannot be read")]
    UnreadableGrades,
    /// The model was learnt with other settings: restore those, or let the models start afresh.
    #[error("a saved model was learnt with other settings")]
    OtherSettings,
}

#[derive(Debug)]
struct Model {
    forest: Forest,
    // Where rows have grades.
    grader: Option<Grader>,
    last_used: u64,
    changed: bool,
}

impl Model {
    /// The grader, where there is one, then the forest.
    fn to_bytes(&self) -> Vec<u8> {
        let forest = self.forest.to_bytes();
        match &self.grader {
            None => forest,
            Some(grader) => [grader.to_bytes().as_slice(), &forest].concat(),
        }
    }
}

/// Models by key. Iteration never depends on the hash map's order.
#[derive(Debug)]
pub(crate) struct Models {
    by_key: HashMap<ModelKey, Model>,
    // Every model once, by the moment of its last use.
    by_use: BTreeMap<u64, ModelKey>,
    n_uses: u64,
}

impl Models {
    pub(crate) fn new() -> Self {
        Self { by_key: HashMap::new(), by_use: BTreeMap::new(), n_uses: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn contains(&self, key: &ModelKey) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.by_key.values().map(|model| model.forest.size_bytes()).sum()
    }

    pub(crate) fn insert(&mut self, key: ModelKey, forest: Forest, grader: Option<Grader>) {
        self.n_uses += 1;
        self.by_use.insert(self.n_uses, key.clone());
        let model = Model { forest, grader, last_used: self.n_uses, changed: false };
        if let Some(replaced) = self.by_key.insert(key, model) {
            self.by_use.remove(&replaced.last_used);
        }
    }

    /// The model of a key, marked as changed and as used last.
    pub(crate) fn learn(&mut self, key: &ModelKey) -> Option<(&mut Forest, Option<&mut Grader>)> {
        let model = self.by_key.get_mut(key)?;
        model.changed = true;
        // The model used last needs no new place: the common case of one model costs nothing.
        if model.last_used != self.n_uses {
            self.n_uses += 1;
            self.by_use.remove(&model.last_used);
            self.by_use.insert(self.n_uses, key.clone());
            model.last_used = self.n_uses;
        }
        Some((&mut model.forest, model.grader.as_mut()))
    }

    /// The models changed since the last call, in key order.
    pub(crate) fn take_changed(&mut self) -> Vec<(ModelKey, Vec<u8>)> {
        let mut changed: Vec<(ModelKey, Vec<u8>)> = self
            .by_key
            .iter_mut()
            .filter(|(_, model)| model.changed)
            .map(|(key, model)| {
                model.changed = false;
                (key.clone(), model.to_bytes())
            })
            .collect();
        changed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        changed
    }

    /// Drops unchanged models, least recently used first, until at most `max_models` are left.
    pub(crate) fn evict(&mut self, max_models: usize) {
        let n_over = self.by_key.len().saturating_sub(max_models);
        if n_over == 0 {
            return;
        }
        let leaving: Vec<u64> = self
            .by_use
            .iter()
            .filter(|(_, key)| self.by_key.get(*key).is_some_and(|model| !model.changed))
            .map(|(last_used, _)| *last_used)
            .take(n_over)
            .collect();
        for last_used in leaving {
            if let Some(key) = self.by_use.remove(&last_used) {
                self.by_key.remove(&key);
            }
        }
    }
}
