//! TOP_K_ITEMS_TUMBLING and COUNT_DISTINCT_ITEMS_TUMBLING. Both count exactly, where the original
//! approximated beyond some number of items.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::SchemaRef;

use super::errors::Errors;
use super::evaluate::Expressions;
use super::state::{Reader, Writer};
use super::{Chunk, Operator};
use crate::error::RunError;
use crate::expr::time::Step;
use crate::expr::{Typed, arrow_schema};
use crate::types::Type;

/// What is told of the items of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// The so many that come most often: ITEM and ITEM_COUNT, the most frequent first, of equally
    /// frequent ones the one that came first.
    Top(usize),
    /// How many there are: NUMBER_OF_DISTINCT_ITEMS.
    HowMany,
}

/// Items of tumbling windows of ROWTIME.
#[derive(Debug)]
pub(crate) struct Items {
    // The item as text.
    item: Expressions,
    tells: Tells,
    step: Step,
    windows: BTreeMap<i64, Counts>,
    schema: SchemaRef,
}

#[derive(Debug, Default)]
struct Counts {
    counts: HashMap<Box<str>, (u64, usize)>,
    n_bytes: usize,
}

impl Counts {
    fn add(&mut self, item: &str, count: u64) {
        let n_items = self.counts.len();
        match self.counts.get_mut(item) {
            Some((had, _)) => *had += count,
            None => {
                self.n_bytes += item.len();
                self.counts.insert(item.into(), (count, n_items));
            }
        }
    }

    /// In the order in which they came.
    fn in_order(&self) -> Vec<(&str, u64)> {
        let mut items: Vec<_> = self.counts.iter().collect();
        items.sort_by_key(|(_, (_, order))| *order);
        items.into_iter().map(|(item, (count, _))| (item.as_ref(), *count)).collect()
    }
}

impl Items {
    pub(crate) fn new(item: Typed, tells: Tells, window_ms: i64, schema: SchemaRef) -> Self {
        let out = match tells {
            Tells::Top(_) => arrow_schema([Type::Varchar(None), Type::Double, Type::Timestamp]),
            Tells::HowMany => arrow_schema([Type::BigInt, Type::Timestamp]),
        };
        Self {
            item: Expressions::new([item], schema),
            tells,
            step: Step::Ms(window_ms),
            windows: BTreeMap::new(),
            schema: out,
        }
    }

    fn told(&self, counts: &Counts) -> Vec<ArrayRef> {
        let mut items = counts.in_order();
        match self.tells {
            Tells::HowMany => {
                let n_items = i64::try_from(items.len()).unwrap_or(i64::MAX);
                vec![Arc::new(Int64Array::from(vec![n_items]))]
            }
            Tells::Top(k) => {
                items.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                items.truncate(k);
                #[expect(clippy::cast_precision_loss, reason = "ITEM_COUNT is a DOUBLE")]
                let counts = items.iter().map(|(_, count)| *count as f64);
                vec![
                    Arc::new(StringArray::from_iter_values(items.iter().map(|(item, _)| *item))),
                    Arc::new(Float64Array::from_iter_values(counts)),
                ]
            }
        }
    }
}

impl Operator for Items {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let (chunk, values) = self.item.evaluate(inputs.remove(0), errors)?;
        let items = values[0].as_string::<i32>();
        for (row, item) in items.iter().enumerate() {
            let window = self.step.floor(chunk.rowtimes().value(row));
            let counts = self.windows.entry(window).or_default();
            if let Some(item) = item {
                counts.add(item, 1);
            }
            let limits = errors.limits;
            errors.check_rows("a window of items", counts.counts.len(), limits.groups)?;
            errors.check_bytes("a window of items", counts.n_bytes, limits.aggregate_bytes)?;
        }
        errors.counters.aggregated += chunk.n_rows() as u64;
        let mut out = Vec::new();
        while let Some(first) = self.windows.first_entry() {
            let end = self.step.next(*first.key());
            let Some(tick) = chunk.tick_of(end) else { break };
            let counts = first.remove();
            let columns = self.told(&counts);
            let n_rows = columns[0].len();
            let ids = chunk.ids.is_some().then(|| {
                let (pump, operator_idx) = (errors.pump, errors.operator_idx);
                let ids = (0..n_rows)
                    .map(|ordinal| format!("{pump}.{operator_idx}:{end}:items:{ordinal}"));
                Arc::new(StringArray::from_iter_values(ids)) as ArrayRef
            });
            let rowtimes = Arc::new(TimestampMillisecondArray::from(vec![end; n_rows]));
            let ticks = vec![tick; n_rows];
            out.push(Chunk { columns, rowtimes, ids, ticks, watermarks: Arc::from([]) });
        }
        let watermarks = Arc::clone(&chunk.watermarks);
        Chunk::of_parts(&out, &self.schema, chunk.ids.is_some(), watermarks)
    }

    fn due_ms(&self) -> i64 {
        self.windows.keys().next().map_or(i64::MAX, |first| self.step.next(*first))
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer::default();
        writer.count(self.windows.len());
        for (window, counts) in &self.windows {
            writer.number(*window);
            let items = counts.in_order();
            writer.count(items.len());
            for (item, count) in items {
                writer.bytes(item.as_bytes());
                writer.number(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        Ok(writer.0)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        let mut reader = Reader(state);
        for _ in 0..reader.count()? {
            let window = reader.number()?;
            let mut counts = Counts::default();
            for _ in 0..reader.count()? {
                let item = String::from_utf8_lossy(reader.bytes()?).into_owned();
                counts.add(&item, u64::try_from(reader.number()?).unwrap_or(0));
            }
            self.windows.insert(window, counts);
        }
        reader.end()
    }
}
