//! The best documents of each segment by the columns of the sort clauses.
//!
//! A value is a `u128` whose order is the clause's: the kind of the value (numbers, then dates,
//! booleans, strings), then the value, inverted for descending clauses; what is missing lies before
//! or behind all. So a document that is no better than the worst kept costs one comparison.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, ColumnType, MonotonicallyMappableToU64, StrColumn, TermOrdHit};
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use crate::fields::{FieldKind, column, kind};
use crate::sort::{SortBy, SortClause, SortValue, compare};

/// A document among the best, and what it was sorted by.
#[derive(Clone, Debug)]
pub(crate) struct Best {
    pub(crate) address: DocAddress,
    pub(crate) values: Vec<SortValue>,
}

/// Collects the count and the first documents in the order of the clauses, ties in the order of
/// writing.
pub(crate) struct TopHits {
    pub(crate) clauses: Vec<SortClause>,
    pub(crate) n_hits: usize,
    /// Only what comes behind this is collected; the count is of all.
    pub(crate) after: Option<After>,
}

/// Where a page begins: behind the documents with these values.
pub(crate) struct After {
    pub(crate) values: Vec<SortValue>,
    pub(crate) ties: Ties,
}

/// What becomes of documents with the very values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ties {
    Excluded,
    Included,
    /// Those behind this one in the order of writing are in.
    Behind(DocAddress),
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

/// A key's double: between two keys there is room for a text that no document has.
type DoubleKey = u128;

type Key = (Box<[u128]>, DocId);

/// [`TopHits`] of one segment.
pub(crate) struct SegmentTopHits {
    segment_ord: SegmentOrdinal,
    clauses: Vec<SegmentClause>,
    n_hits: usize,
    // The keys that a page begins behind, and from which document on an equal one is in.
    after: Option<(Vec<DoubleKey>, DocId)>,
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
        let clauses: Vec<SegmentClause> = self
            .clauses
            .iter()
            .map(|clause| SegmentClause::open(clause, segment))
            .collect::<tantivy::Result<_>>()?;
        let after = match &self.after {
            None => None,
            Some(after) => {
                let keys = clauses.iter().zip(&after.values);
                let keys = keys.map(|(clause, value)| clause.after_key(value));
                let first_tie = match after.ties {
                    Ties::Excluded => DocId::MAX,
                    Ties::Included => 0,
                    Ties::Behind(last) => match segment_ord.cmp(&last.segment_ord) {
                        Ordering::Less => DocId::MAX,
                        Ordering::Equal => last.doc_id + 1,
                        Ordering::Greater => 0,
                    },
                };
                Some((keys.collect::<tantivy::Result<_>>()?, first_tie))
            }
        };
        let heap = BinaryHeap::with_capacity(self.n_hits.min(1_000) + 1);
        Ok(SegmentTopHits { segment_ord, clauses, n_hits: self.n_hits, after, count: 0, heap })
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

    /// The double of the key that a document with this value has, or would have.
    fn after_key(&self, value: &SortValue) -> tantivy::Result<DoubleKey> {
        let of = |rank: u128, value: u64| 2 * ((rank << RANK_BIT) | u128::from(value));
        let key = match value {
            SortValue::Missing => return Ok(if self.missing_first { 0 } else { u128::MAX }),
            SortValue::Number(number) if self.is_doc => {
                #[expect(clippy::cast_possible_truncation, reason = "it was made of a DocId")]
                #[expect(clippy::cast_sign_loss, reason = "it was made of a DocId")]
                let doc = *number as DocId;
                return Ok(double(self.doc_key(doc)));
            }
            SortValue::Number(number) => of(1, number.to_u64()),
            SortValue::DateMs(ms) => of(2, ms.saturating_mul(1_000_000).to_u64()),
            SortValue::Bool(value) => of(3, u64::from(*value)),
            SortValue::Text(text) => {
                let column = self.kinds.iter().find_map(|kind| match kind {
                    Kind::Text(column) => Some(column),
                    _ => None,
                });
                match column {
                    None => of(4, 0),
                    Some(column) => {
                        let dictionary = column.dictionary();
                        let n_terms = dictionary.num_terms() as u64;
                        match dictionary.term_ord_or_next(text.as_bytes())? {
                            TermOrdHit::Exact(ord) => of(4, ord),
                            TermOrdHit::Next(ord) => of(4, ord.min(n_terms)) - 1,
                        }
                    }
                }
            }
        };
        Ok(if self.descending { (10_u128 << RANK_BIT) - key } else { key })
    }

    fn doc_key(&self, doc: DocId) -> u128 {
        u128::from(if self.descending { !doc } else { doc })
    }

    fn key(&self, doc: DocId) -> u128 {
        if self.is_doc {
            return self.doc_key(doc);
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

/// Where the kind of a value stands in its key, above the value.
const RANK_BIT: u32 = 64;

/// What is missing stays before or behind all.
fn double(key: u128) -> DoubleKey {
    key.saturating_mul(2)
}

impl SegmentTopHits {
    fn is_behind(&self, doc: DocId) -> bool {
        let Some((after, first_tie)) = &self.after else { return true };
        let order = self.clauses.iter().zip(after).find_map(|(clause, after)| {
            let order = double(clause.key(doc)).cmp(after);
            order.is_ne().then_some(order)
        });
        match order {
            Some(order) => order.is_gt(),
            None => doc >= *first_tie,
        }
    }
}

impl SegmentCollector for SegmentTopHits {
    type Fruit = (u64, tantivy::Result<Vec<Best>>);

    fn collect(&mut self, doc: DocId, _score: Score) {
        self.count += 1;
        if self.n_hits == 0 || !self.is_behind(doc) {
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
