//! The index at one moment, for whoever asks several things of it that have to agree.

use std::collections::HashMap;
use std::sync::Arc;

use eddy_stream::{Clock as _, SystemClock};
use serde_json::Value;
use tantivy::columnar::{Column, ColumnType, MonotonicallyMappableToU64, StrColumn};
use tantivy::query::{EnableScoring, Query};
use tantivy::{DocAddress, DocId, Searcher, SegmentReader};

use crate::IndexError;
use crate::dates::{self, Rounding};
use crate::fields::{CREATED, SCORE, column};
use crate::query::QueryParser;
use crate::search::guarded;
use crate::sort;
use crate::store::{Store, stored};
use crate::top_hits::TopHits;

/// What the indices of a pattern held when it was taken; later writes do not change it.
pub struct Snapshot {
    shards: Vec<(Arc<str>, Searcher)>,
    // What `now` is in its queries.
    now_ms: i64,
}

/// Where a document is in a [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    shard_idx: usize,
    address: DocAddress,
}

/// What a scan reads of each document.
#[derive(Clone, Copy, Debug)]
pub struct ScanRequest<'a> {
    /// Which documents: a query as a search has it.
    pub query: &'a Value,
    /// The field that tells sensors apart.
    pub key: Option<&'a str>,
    /// A field with readings.
    pub value: Option<&'a str>,
}

/// A document as a scan sees it. Documents come in no order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScanRow {
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// The score, where there is one.
    pub score: Option<f64>,
    /// The reading, where it is a number.
    pub value: Option<f64>,
    /// Which of the names that [`Snapshot::scan`] has found so far.
    pub name_idx: u32,
}

impl Snapshot {
    pub(crate) fn of(store: &Store, pattern: &str) -> Result<Self, IndexError> {
        let shards = store.resolve(pattern, false)?;
        let shards = shards.iter().map(|it| (Arc::clone(&it.name), it.reader.searcher()));
        Ok(Self { shards: shards.collect(), now_ms: SystemClock.now_ms() })
    }

    /// Calls `visit` for every document that the query matches and that has a date, with the names
    /// found so far. Returns all names; the first is that of documents without one, and empty.
    /// About 30 ns a document.
    ///
    /// # Errors
    /// The query is not understood.
    pub fn scan(
        &self,
        request: &ScanRequest<'_>,
        visit: &mut dyn FnMut(&ScanRow),
    ) -> Result<Vec<String>, IndexError> {
        let query = self.parse(request.query)?;
        guarded(|| {
            let mut names = Names::new();
            for (_, searcher) in &self.shards {
                for segment in searcher.segment_readers() {
                    scan_segment(segment, searcher, &*query, request, &mut names, visit)?;
                }
            }
            Ok(names.all)
        })
    }

    /// How many documents the query matches, and where the first `n` are in the order of `sort`, as
    /// a search has it.
    ///
    /// # Errors
    /// Query or sort are not understood.
    pub fn ranked(
        &self,
        query: &Value,
        sort: &Value,
        n: usize,
    ) -> Result<(u64, Vec<Place>), IndexError> {
        let (query, clauses) = (self.parse(query)?, sort::parse(sort)?);
        guarded(|| {
            let (mut total, mut best) = (0, Vec::new());
            for (shard_idx, (_, searcher)) in self.shards.iter().enumerate() {
                let hits = TopHits { clauses: clauses.clone(), n_hits: n, after: None };
                let (count, shard_best) = searcher.search(&*query, &hits)?;
                total += count;
                best.extend(shard_best.into_iter().map(|hit| (shard_idx, hit)));
            }
            best.sort_by(|(left_idx, left), (right_idx, right)| {
                sort::compare(&clauses, &left.values, &right.values)
                    .then(left_idx.cmp(right_idx))
                    .then(left.address.cmp(&right.address))
            });
            best.truncate(n);
            let places = best.into_iter();
            let places = places.map(|(shard_idx, hit)| Place { shard_idx, address: hit.address });
            Ok((total, places.collect()))
        })
    }

    fn parse(&self, query: &Value) -> Result<Box<dyn Query>, IndexError> {
        QueryParser::new(self.now_ms).parse(query)
    }

    /// Id and source of a document.
    ///
    /// # Errors
    /// The files of the index cannot be read.
    pub fn read(&self, place: Place) -> Result<(String, String), IndexError> {
        guarded(|| stored(&self.shards[place.shard_idx].1, place.address))
    }
}

/// A date as queries have it: ISO 8601, milliseconds since the epoch, or `now-15m`. Four digits are a
/// year.
pub fn date_ms(text: &str, now_ms: i64) -> Option<i64> {
    if let (Ok(ms), true) = (text.parse::<i64>(), text.len() != 4) {
        return Some(ms);
    }
    dates::from_query(&Value::from(text), now_ms, Rounding::Down)
}

/// Names by number; a name is made once a segment.
struct Names {
    all: Vec<String>,
    known: HashMap<String, u32>,
}

impl Names {
    fn new() -> Self {
        Self { all: vec![String::new()], known: HashMap::from([(String::new(), 0)]) }
    }

    fn idx(&mut self, name: String) -> u32 {
        if let Some(idx) = self.known.get(&name) {
            return *idx;
        }
        // What is beyond four billion names is one more of the last.
        let idx = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(name.clone());
        self.known.insert(name, idx);
        idx
    }
}

/// The columns of a segment in which a key's values may be.
struct Keys {
    text: Option<StrColumn>,
    numbers: Option<Column<u64>>,
    booleans: Option<Column<u64>>,
    // By ordinal of the text.
    of_text: HashMap<u64, u32>,
    of_number: HashMap<u64, u32>,
}

impl Keys {
    fn open(segment: &SegmentReader, key: &str) -> tantivy::Result<Self> {
        let name = column(key);
        let columns = segment.fast_fields();
        let is_dynamic = key != CREATED && key != SCORE;
        Ok(Self {
            text: if is_dynamic { columns.str(&name)? } else { None },
            numbers: open(segment, &name, ColumnType::F64)?,
            booleans: open(segment, &name, ColumnType::Bool)?,
            of_text: HashMap::new(),
            of_number: HashMap::new(),
        })
    }

    fn idx(&mut self, doc: DocId, names: &mut Names) -> tantivy::Result<u32> {
        if let Some(text) = &self.text
            && let Some(ord) = text.ords().first(doc)
        {
            if let Some(idx) = self.of_text.get(&ord) {
                return Ok(*idx);
            }
            let mut name = String::new();
            text.ord_to_str(ord, &mut name)?;
            let idx = names.idx(name);
            self.of_text.insert(ord, idx);
            return Ok(idx);
        }
        if let Some(bits) = self.numbers.as_ref().and_then(|numbers| numbers.first(doc)) {
            let known = self.of_number.entry(bits);
            return Ok(*known.or_insert_with(|| names.idx(f64::from_u64(bits).to_string())));
        }
        let truth = self.booleans.as_ref().and_then(|booleans| booleans.first(doc));
        Ok(truth.map_or(0, |truth| names.idx((truth != 0).to_string())))
    }
}

fn open(
    segment: &SegmentReader,
    name: &str,
    kind: ColumnType,
) -> tantivy::Result<Option<Column<u64>>> {
    let found = segment.fast_fields().u64_lenient_for_type(Some(&[kind]), name)?;
    Ok(found.map(|(column, _)| column))
}

fn scan_segment(
    segment: &SegmentReader,
    searcher: &Searcher,
    query: &dyn Query,
    request: &ScanRequest<'_>,
    names: &mut Names,
    visit: &mut dyn FnMut(&ScanRow),
) -> Result<(), IndexError> {
    let Some(created) = open(segment, CREATED, ColumnType::DateTime)? else { return Ok(()) };
    let scores = open(segment, SCORE, ColumnType::F64)?;
    let values = match request.value {
        Some(value) => open(segment, &column(value), ColumnType::F64)?,
        None => None,
    };
    let mut keys = request.key.map(|key| Keys::open(segment, key)).transpose()?;
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
    let number = |column: &Option<Column<u64>>, doc| {
        column.as_ref().and_then(|column| column.first(doc)).map(f64::from_u64)
    };
    let mut failed = None;
    weight.for_each_no_score(segment, &mut |docs| {
        for doc in docs {
            if segment.is_deleted(*doc) || failed.is_some() {
                continue;
            }
            let Some(at) = created.first(*doc) else { continue };
            let name_idx = match &mut keys {
                None => 0,
                Some(keys) => keys.idx(*doc, names).unwrap_or_else(|error| {
                    failed = Some(error);
                    0
                }),
            };
            visit(&ScanRow {
                created_ms: i64::from_u64(at).div_euclid(1_000_000),
                score: number(&scores, *doc),
                value: number(&values, *doc),
                name_idx,
            });
        }
    })?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}
