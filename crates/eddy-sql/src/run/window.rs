//! GROUP BY a window of time: tumbling windows, and stagger windows.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};

use super::errors::Errors;
use super::evaluate::Expressions;
use super::groups::{Groups, Keys, key_of};
use super::state::{Reader, Writer};
use super::{Chunk, Operator};
use crate::error::RunError;
use crate::expr::time::Step;
use crate::expr::{Aggregate, Typed};

/// When a group leaves.
#[derive(Clone, Copy, Debug)]
struct End {
    // The end of its window.
    window: i64,
    rowtime: i64,
    tick: u32,
}

/// What the rows of a window become: the keys, then the aggregates.
#[derive(Debug)]
struct Grouping {
    // The time that makes the window, the keys, the arguments.
    exprs: Expressions,
    keys: Keys,
    n_keys: usize,
    aggregates: Vec<Aggregate>,
    schema: SchemaRef,
}

impl Grouping {
    fn new(
        time: Typed,
        keys: Vec<Typed>,
        aggregates: Vec<Aggregate>,
        schema: SchemaRef,
    ) -> Result<Self, RunError> {
        let types: Vec<_> = keys.iter().map(|key| key.sql_type).collect();
        let out = types.iter().copied().chain(aggregates.iter().map(|it| it.sql_type));
        let out = crate::expr::arrow_schema(out.chain([crate::types::Type::Timestamp]));
        let arguments = aggregates.iter().map(|aggregate| aggregate.argument.clone());
        let n_keys = keys.len();
        let exprs = Expressions::new([time].into_iter().chain(keys).chain(arguments), schema);
        Ok(Self { exprs, keys: Keys::new(types)?, n_keys, aggregates, schema: out })
    }

    /// Groups that leave: the ends of their windows, their ROWTIMEs and ticks. Those of one end leave
    /// in one call.
    fn rows(
        &self,
        keys: &[Box<[u8]>],
        values: Vec<ArrayRef>,
        ends: &[End],
        has_ids: bool,
        errors: &Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let mut columns = self.keys.columns(keys)?;
        columns.extend(values);
        let ids = has_ids.then(|| {
            // Not the place among those that leave together: that depends on batches.
            let mut ordinals: HashMap<(i64, u64), u32> = HashMap::new();
            let (pump, operator_idx) = (errors.pump, errors.operator_idx);
            let ids = keys.iter().zip(ends).map(|(key, end)| {
                let (window, hash) = (end.window, fnv1a(key));
                let ordinal = ordinals.entry((window, hash)).or_default();
                *ordinal += 1;
                format!("{pump}.{operator_idx}:{window}:{hash:016x}:{}", *ordinal - 1)
            });
            Arc::new(StringArray::from_iter_values(ids)) as ArrayRef
        });
        let rowtimes =
            TimestampMillisecondArray::from_iter_values(ends.iter().map(|end| end.rowtime));
        let ticks = ends.iter().map(|end| end.tick).collect();
        Ok(Chunk { columns, rowtimes: Arc::new(rowtimes), ids, ticks, watermarks: Arc::from([]) })
    }
}

/// A hash that is the same on every machine and in every version.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// `GROUP BY STEP(s.ROWTIME BY ..), ..`: the groups of a window leave when the time has passed its
/// end, in the order of their first rows, with the end as their ROWTIME.
#[derive(Debug)]
pub(crate) struct Tumble {
    grouping: Grouping,
    step: Step,
    windows: BTreeMap<i64, Groups>,
    // The latest ROWTIME given.
    latest: i64,
}

impl Tumble {
    pub(crate) fn new(
        time: Typed,
        step: Step,
        keys: Vec<Typed>,
        aggregates: Vec<Aggregate>,
        schema: SchemaRef,
    ) -> Result<Self, RunError> {
        let grouping = Grouping::new(time, keys, aggregates, schema)?;
        Ok(Self { grouping, step, windows: BTreeMap::new(), latest: i64::MIN })
    }
}

impl Operator for Tumble {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let (mut chunk, mut values) = self.grouping.exprs.evaluate(inputs.remove(0), errors)?;
        if values[0].null_count() > 0 {
            let times = Arc::clone(&values[0]);
            let keep: BooleanArray =
                (0..times.len()).map(|row| Some(times.is_valid(row))).collect();
            for row in (0..times.len()).filter(|row| times.is_null(*row)) {
                errors.report(&chunk, row, "Invalid value", "the time of its window is NULL");
            }
            chunk = chunk.filter(&keep)?;
            let kept = values.iter().map(|array| arrow::compute::filter(array, &keep));
            values = kept.collect::<Result<_, _>>()?;
        }
        let times = values[0].as_primitive::<TimestampMillisecondType>();
        let (keys, arguments) = values[1..].split_at(self.grouping.n_keys);
        let rows = self.grouping.keys.rows(keys)?;
        let mut groups = Vec::new();
        let mut begin = 0;
        while begin < chunk.n_rows() {
            let window = self.step.floor(times.value(begin));
            let same = |row: &usize| self.step.floor(times.value(*row)) == window;
            let n_rows = (begin..chunk.n_rows()).take_while(same).count();
            let open = match self.windows.entry(window) {
                std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    new.insert(Groups::new(&self.grouping.aggregates)?)
                }
            };
            groups.clear();
            groups
                .extend((begin..begin + n_rows).map(|row| open.group(key_of(rows.as_ref(), row))));
            let arguments: Vec<ArrayRef> =
                arguments.iter().map(|array| array.slice(begin, n_rows)).collect();
            open.update(&arguments, &groups)?;
            open.check_size("a window", errors)?;
            errors.counters.aggregated += n_rows as u64;
            begin += n_rows;
        }
        let mut out = Vec::new();
        while let Some(first) = self.windows.first_entry() {
            let end = self.step.next(*first.key());
            let Some(tick) = chunk.tick_of(end) else { break };
            let mut groups = first.remove();
            let n_groups = groups.n_groups();
            let (keys, values) = groups.emit(n_groups)?;
            self.latest = self.latest.max(end);
            let ends = vec![End { window: end, rowtime: self.latest, tick }; n_groups];
            out.push(self.grouping.rows(&keys, values, &ends, chunk.ids.is_some(), errors)?);
        }
        let watermarks = Arc::clone(&chunk.watermarks);
        Chunk::of_parts(&out, &self.grouping.schema, chunk.ids.is_some(), watermarks)
    }

    fn due_ms(&self) -> i64 {
        self.windows.keys().next().map_or(i64::MAX, |first| self.step.next(*first))
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer::default();
        writer.number(self.latest);
        writer.count(self.windows.len());
        for (window, groups) in &mut self.windows {
            writer.number(*window);
            groups.save(&self.grouping.aggregates, &mut writer)?;
        }
        Ok(writer.0)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        let mut reader = Reader(state);
        self.latest = reader.number()?;
        for _ in 0..reader.count()? {
            let window = reader.number()?;
            let groups = Groups::restore(&self.grouping.aggregates, &mut reader)?;
            self.windows.insert(window, groups);
        }
        reader.end()
    }
}

/// `WINDOWED BY STAGGER`: a window a key, opened by the key's first row, closed that long after.
#[derive(Debug)]
pub(crate) struct Staggered {
    grouping: Grouping,
    range_ms: i64,
    groups: Groups,
    // When each group closes, and the key whose window it is, in the order of the groups.
    closes: VecDeque<(i64, Box<[u8]>)>,
    // So many of them, from the front, take no rows any more: one came that is later.
    n_closed: usize,
    latest: i64,
}

impl Staggered {
    pub(crate) fn new(
        time: Typed,
        range_ms: i64,
        keys: Vec<Typed>,
        aggregates: Vec<Aggregate>,
        schema: SchemaRef,
    ) -> Result<Self, RunError> {
        let groups = Groups::new(&aggregates)?;
        let grouping = Grouping::new(time, keys, aggregates, schema)?;
        Ok(Self {
            grouping,
            range_ms,
            groups,
            closes: VecDeque::new(),
            n_closed: 0,
            latest: i64::MIN,
        })
    }
}

impl Operator for Staggered {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let (chunk, values) = self.grouping.exprs.evaluate(inputs.remove(0), errors)?;
        let times = values[0].as_primitive::<TimestampMillisecondType>();
        let (keys, arguments) = values[1..].split_at(self.grouping.n_keys);
        let rows = self.grouping.keys.rows(keys)?;
        let mut groups = Vec::with_capacity(chunk.n_rows());
        for row in 0..chunk.n_rows() {
            self.latest = self.latest.max(times.value(row));
            while let Some((close, key)) = self.closes.get(self.n_closed) {
                if *close > self.latest {
                    break;
                }
                self.groups.forget(key);
                self.n_closed += 1;
            }
            let key = key_of(rows.as_ref(), row);
            let n_groups = self.groups.n_groups();
            let group = self.groups.group(key);
            if group == n_groups {
                self.closes.push_back((self.latest.saturating_add(self.range_ms), key.into()));
            }
            groups.push(group);
        }
        self.groups.update(arguments, &groups)?;
        errors.counters.aggregated += chunk.n_rows() as u64;
        let mut ends = Vec::new();
        while let Some((close, key)) = self.closes.front() {
            let Some(tick) = chunk.tick_of(*close) else { break };
            ends.push(End { window: *close, rowtime: *close, tick });
            if self.n_closed == 0 {
                self.groups.forget(key);
            }
            self.n_closed = self.n_closed.saturating_sub(1);
            self.closes.pop_front();
        }
        let watermarks = Arc::clone(&chunk.watermarks);
        let has_ids = chunk.ids.is_some();
        if ends.is_empty() {
            self.groups.check_size("a stagger window", errors)?;
            return Ok(Chunk::empty(&self.grouping.schema, has_ids, watermarks));
        }
        let (keys, values) = self.groups.emit(ends.len())?;
        self.groups.check_size("a stagger window", errors)?;
        let out = self.grouping.rows(&keys, values, &ends, has_ids, errors)?;
        Ok(Chunk { watermarks, ..out })
    }

    fn due_ms(&self) -> i64 {
        self.closes.front().map_or(i64::MAX, |(close, _)| *close)
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer::default();
        writer.number(self.latest);
        self.groups.save(&self.grouping.aggregates, &mut writer)?;
        writer.count(self.n_closed);
        writer.count(self.closes.len());
        for (close, key) in &self.closes {
            writer.number(*close);
            writer.bytes(key);
        }
        Ok(writer.0)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        let mut reader = Reader(state);
        self.latest = reader.number()?;
        self.groups = Groups::restore(&self.grouping.aggregates, &mut reader)?;
        self.n_closed = reader.count()?;
        for _ in 0..reader.count()? {
            let close = reader.number()?;
            self.closes.push_back((close, reader.bytes()?.into()));
        }
        reader.end()
    }
}
