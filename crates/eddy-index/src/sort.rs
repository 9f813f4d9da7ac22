//! Sorting: the best documents of a segment by the columns of the sort clauses.
//!
//! A value is a `u128` whose order is the clause's: the kind of the value (numbers, then dates,
//! booleans, strings), then the value, inverted for descending clauses; what is missing lies before
//! or behind all. So a document that is no better than the worst kept costs one comparison.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde_json::{Value, json};
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, ColumnType, MonotonicallyMappableToU64, StrColumn};
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use crate::IndexError;
use crate::fields::{FieldKind, column, is_valid_name, kind};
use crate::limits::MAX_SORT_CLAUSES;
use crate::query::known;

/// What a clause sorts by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SortBy {
    /// The order of writing.
    Doc,
    /// The score, which is the same for all.
    Score,
    Field(String),
}

/// One clause of a sort.
#[derive(Clone, Debug)]
pub(crate) struct SortClause {
    pub(crate) by: SortBy,
    descending: bool,
    missing_first: bool,
}

/// A value that a hit was sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SortValue {
    Number(f64),
    DateMs(i64),
    Bool(bool),
    Text(String),
    Missing,
}

impl SortValue {
    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 1,
            Self::DateMs(_) => 2,
            Self::Bool(_) => 3,
            Self::Text(_) => 4,
            Self::Missing => 5,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Number(number) => json!(number),
            Self::DateMs(ms) => json!(ms),
            Self::Bool(value) => json!(value),
            Self::Text(text) => json!(text),
            Self::Missing => Value::Null,
        }
    }
}

/// Parses `sort` of a search.
pub(crate) fn parse(sort: &Value) -> Result<Vec<SortClause>, IndexError> {
    let list = match sort {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let clauses: Vec<SortClause> = list.iter().map(clause).collect::<Result<_, _>>()?;
    if clauses.len() > MAX_SORT_CLAUSES {
        return Err(IndexError::illegal(format!("more than {MAX_SORT_CLAUSES} sort clauses")));
    }
    Ok(clauses)
}

fn clause(clause: &Value) -> Result<SortClause, IndexError> {
    match clause {
        Value::String(text) => match text.split_once(':') {
            Some((name, order)) => make(name, Some(order), None),
            None => make(text, None, None),
        },
        Value::Object(object) => {
            let mut entries = object.iter();
            let (Some((name, body)), None) = (entries.next(), entries.next()) else {
                return Err(IndexError::parsing("a sort clause needs exactly one field"));
            };
            if let Value::String(order) = body {
                return make(name, Some(order), None);
            }
            let keys = ["order", "missing", "unmapped_type", "format"];
            let body = known(body, "sort", &keys)?;
            if body.contains_key("format") {
                return Err(IndexError::unsupported("[format] in [sort]"));
            }
            let text = |key: &str| match body.get(key) {
                None => Ok(None),
                Some(Value::String(text)) => Ok(Some(text.as_str())),
                Some(other) => Err(IndexError::unsupported(format!("[{key}] {other} in [sort]"))),
            };
            make(name, text("order")?, text("missing")?)
        }
        _ => Err(IndexError::parsing("a sort clause must be a string or an object")),
    }
}

fn make(name: &str, order: Option<&str>, missing: Option<&str>) -> Result<SortClause, IndexError> {
    let by = match name {
        "_doc" | "_shard_doc" => SortBy::Doc,
        "_score" => SortBy::Score,
        _ if kind(name) == FieldKind::Id => return Err(IndexError::unsupported("sort by [_id]")),
        _ if !is_valid_name(name) => return Err(IndexError::illegal("a sort field has no name")),
        _ => SortBy::Field(name.to_owned()),
    };
    let descending = match order {
        None => by == SortBy::Score,
        Some("asc") => false,
        Some("desc") => true,
        Some(other) => return Err(IndexError::illegal(format!("unknown sort order [{other}]"))),
    };
    let missing_first = match missing {
        None | Some("_last") => false,
        Some("_first") => true,
        Some(other) => return Err(IndexError::unsupported(format!("missing [{other}] in [sort]"))),
    };
    Ok(SortClause { by, descending, missing_first })
}

impl SortClause {
    fn compare(&self, left: &SortValue, right: &SortValue) -> Ordering {
        let missing = |value: &SortValue| *value == SortValue::Missing;
        match (missing(left), missing(right)) {
            (true, true) => return Ordering::Equal,
            (true, false) | (false, true) => {
                let order = missing(left).cmp(&missing(right));
                return if self.missing_first { order.reverse() } else { order };
            }
            _ => {}
        }
        let order = match (left, right) {
            (SortValue::Number(left), SortValue::Number(right)) => left.total_cmp(right),
            (SortValue::DateMs(left), SortValue::DateMs(right)) => left.cmp(right),
            (SortValue::Bool(left), SortValue::Bool(right)) => left.cmp(right),
            (SortValue::Text(left), SortValue::Text(right)) => left.cmp(right),
            _ => left.rank().cmp(&right.rank()),
        };
        if self.descending { order.reverse() } else { order }
    }
}

/// Compares two hits by all clauses.
pub(crate) fn compare(clauses: &[SortClause], left: &[SortValue], right: &[SortValue]) -> Ordering {
    clauses
        .iter()
        .zip(left.iter().zip(right))
        .map(|(clause, (left, right))| clause.compare(left, right))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// A document among the best, and what it was sorted by.
pub(crate) struct Best {
    pub(crate) address: DocAddress,
    pub(crate) values: Vec<SortValue>,
}

/// Collects the count and the first documents in the order of the clauses, ties in the order of
/// writing.
pub(crate) struct TopHits {
    pub(crate) clauses: Vec<SortClause>,
    pub(crate) n_hits: usize,
}

enum Kind {
    Number(Column<u64>),
    Date(Column<u64>),
    Bool(Column<u64>),
    Text(StrColumn),
}

struct SegmentClause {
    kinds: Vec<Kind>,
    descending: bool,
    missing_first: bool,
    is_doc: bool,
}

type Key = (Box<[u128]>, DocId);

/// [`TopHits`] of one segment.
pub(crate) struct SegmentTopHits {
    segment_ord: SegmentOrdinal,
    clauses: Vec<SegmentClause>,
    n_hits: usize,
    count: u64,
    // The worst of the kept on top.
    heap: BinaryHeap<Key>,
}

impl Collector for TopHits {
    type Fruit = (u64, Vec<Best>);
    type Child = SegmentTopHits;

    fn for_segment(
        &self,
        segment_ord: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> tantivy::Result<SegmentTopHits> {
        let clauses = self
            .clauses
            .iter()
            .map(|clause| SegmentClause::open(clause, segment))
            .collect::<tantivy::Result<_>>()?;
        let heap = BinaryHeap::with_capacity(self.n_hits.min(1_000) + 1);
        Ok(SegmentTopHits { segment_ord, clauses, n_hits: self.n_hits, count: 0, heap })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(
        &self,
        segments: Vec<(u64, tantivy::Result<Vec<Best>>)>,
    ) -> tantivy::Result<Self::Fruit> {
        let mut count = 0;
        let mut best = Vec::new();
        for (segment_count, segment_best) in segments {
            count += segment_count;
            best.extend(segment_best?);
        }
        best.sort_by(|left: &Best, right: &Best| {
            compare(&self.clauses, &left.values, &right.values)
                .then(left.address.cmp(&right.address))
        });
        best.truncate(self.n_hits);
        Ok((count, best))
    }
}

impl SegmentClause {
    fn open(clause: &SortClause, segment: &SegmentReader) -> tantivy::Result<Self> {
        let mut kinds = Vec::new();
        if let SortBy::Field(name) = &clause.by {
            let column_name = column(name);
            let columns = segment.fast_fields();
            let open = |types: &[ColumnType]| {
                columns
                    .u64_lenient_for_type(Some(types), &column_name)
                    .map(|found| found.map(|c| c.0))
            };
            kinds.extend(open(&[ColumnType::F64])?.map(Kind::Number));
            kinds.extend(open(&[ColumnType::DateTime])?.map(Kind::Date));
            kinds.extend(open(&[ColumnType::Bool])?.map(Kind::Bool));
            if kind(name) == FieldKind::Dynamic {
                kinds.extend(columns.str(&column_name)?.map(Kind::Text));
            }
        }
        Ok(Self {
            kinds,
            descending: clause.descending,
            missing_first: clause.missing_first,
            is_doc: clause.by == SortBy::Doc,
        })
    }

    fn key(&self, doc: DocId) -> u128 {
        const RANK_BIT: u32 = 64;
        if self.is_doc {
            return u128::from(if self.descending { !doc } else { doc });
        }
        for kind in &self.kinds {
            let (rank, column) = match kind {
                Kind::Number(column) => (1, column),
                Kind::Date(column) => (2, column),
                Kind::Bool(column) => (3, column),
                Kind::Text(column) => (4, column.ords()),
            };
            let values = column.values_for_doc(doc);
            let value = if self.descending { values.max() } else { values.min() };
            if let Some(value) = value {
                let key = (rank << RANK_BIT) | u128::from(value);
                return if self.descending { (5_u128 << RANK_BIT) - key } else { key };
            }
        }
        if self.missing_first { 0 } else { u128::MAX }
    }

    fn value(&self, key: u128, doc: DocId) -> tantivy::Result<SortValue> {
        if self.is_doc {
            return Ok(SortValue::Number(f64::from(doc)));
        }
        if key == 0 || key == u128::MAX {
            return Ok(SortValue::Missing);
        }
        for kind in &self.kinds {
            let pick = |column: &Column<u64>| {
                let values = column.values_for_doc(doc);
                if self.descending { values.max() } else { values.min() }
            };
            let value = match kind {
                Kind::Number(column) => pick(column).map(|v| SortValue::Number(f64::from_u64(v))),
                Kind::Date(column) => {
                    pick(column).map(|v| SortValue::DateMs(i64::from_u64(v).div_euclid(1_000_000)))
                }
                Kind::Bool(column) => pick(column).map(|v| SortValue::Bool(v != 0)),
                Kind::Text(column) => match pick(column.ords()) {
                    Some(ord) => {
                        let mut text = String::new();
                        column.ord_to_str(ord, &mut text)?;
                        Some(SortValue::Text(text))
                    }
                    None => None,
                },
            };
            if let Some(value) = value {
                return Ok(value);
            }
        }
        Ok(SortValue::Missing)
    }
}

impl SegmentCollector for SegmentTopHits {
    type Fruit = (u64, tantivy::Result<Vec<Best>>);

    fn collect(&mut self, doc: DocId, _score: Score) {
        self.count += 1;
        if self.n_hits == 0 {
            return;
        }
        if self.heap.len() >= self.n_hits {
            let Some((worst, _)) = self.heap.peek() else { return };
            // Documents come in the order of writing, so that an equal one comes behind.
            let better = self.clauses.iter().zip(worst.iter()).find_map(|(clause, worst)| {
                let order = clause.key(doc).cmp(worst);
                order.is_ne().then_some(order.is_lt())
            });
            if better != Some(true) {
                return;
            }
            self.heap.pop();
        }
        let keys = self.clauses.iter().map(|clause| clause.key(doc)).collect();
        self.heap.push((keys, doc));
    }

    fn harvest(self) -> Self::Fruit {
        let Self { segment_ord, clauses, count, heap, .. } = self;
        let best = heap
            .into_sorted_vec()
            .into_iter()
            .map(|(keys, doc)| {
                let values = clauses
                    .iter()
                    .zip(keys.iter())
                    .map(|(clause, key)| clause.value(*key, doc))
                    .collect::<tantivy::Result<_>>()?;
                Ok(Best { address: DocAddress::new(segment_ord, doc), values })
            })
            .collect();
        (count, best)
    }
}
