//! What is known of simulated readings: which records of the stream are the anomalies.
//!
//! The sensors know the label of every reading, the stream's answer says where the reading is, and
//! from that follows the id of its row. So a label belongs to one record; those that others put
//! have none. Labels live as long as the process does.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use eddy_kinesis::Acknowledged;
use eddy_record::{DocumentId, PartitionId, Position, StreamIdentity};
use eddy_stream::{Clock as _, SystemClock};

/// Records whose labels are kept, the latest: about 30 bytes each.
const MAX_LABELS: usize = 500_000;
/// Ids of anomalies that are kept: about 120 bytes each.
const MAX_ANOMALIES: usize = 20_000;
/// Readings that were put and not acknowledged; beyond it the oldest are taken for failed.
const MAX_UNDER_WAY: usize = 100_000;
/// A record's time is given by the endpoint, that of its label by this process.
const MARGIN_MS: i64 = 60_000;

/// The labels of the embedded sensors' records.
#[derive(Debug)]
pub struct SensorLabels {
    stream: StreamIdentity,
    hasher: RandomState,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    // By the number of the put, in its order.
    under_way: VecDeque<(u64, bool)>,
    n_put: u64,
    known: HashMap<u64, bool>,
    order: VecDeque<u64>,
    // When they were acknowledged, and their ids.
    anomalies: VecDeque<(i64, String)>,
}

impl SensorLabels {
    /// Of the records of a stream.
    pub(crate) fn new(stream: StreamIdentity) -> Self {
        Self { stream, hasher: RandomState::new(), inner: Mutex::default() }
    }

    /// The next reading that is put has this label.
    pub(crate) fn put(&self, anomaly: bool) {
        let mut inner = self.lock();
        let nth = inner.n_put;
        inner.n_put += 1;
        inner.under_way.push_back((nth, anomaly));
        if inner.under_way.len() > MAX_UNDER_WAY {
            inner.under_way.pop_front();
        }
    }

    /// The stream has taken a record.
    pub(crate) fn acknowledged(&self, record: Acknowledged<'_>) {
        let Ok(sequence) = record.sequence_number.parse() else { return };
        let partition = PartitionId::new(record.shard_id);
        let id = DocumentId::new(&self.stream, &partition, &Position::new(sequence), 0);
        let hash = self.hasher.hash_one(id.as_str());
        let mut inner = self.lock();
        // Mostly the first: what is before it was not acknowledged yet.
        let Some(at) = inner.under_way.iter().position(|(nth, _)| *nth == record.nth) else {
            return;
        };
        let Some((_, anomaly)) = inner.under_way.remove(at) else { return };
        inner.known.insert(hash, anomaly);
        inner.order.push_back(hash);
        if inner.order.len() > MAX_LABELS
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.known.remove(&oldest);
        }
        if anomaly {
            inner.anomalies.push_back((SystemClock.now_ms(), id.as_str().to_owned()));
            if inner.anomalies.len() > MAX_ANOMALIES {
                inner.anomalies.pop_front();
            }
        }
    }

    /// Whether the row of that id is an anomaly; `None` where it is not known.
    pub fn label(&self, id: &str) -> Option<bool> {
        let hash = self.hasher.hash_one(id);
        self.lock().known.get(&hash).copied()
    }

    /// The ids of the anomalies that were made within a minute of that time, the oldest first.
    pub fn anomalies(&self, from_ms: i64, to_ms: i64) -> Vec<String> {
        let within = from_ms.saturating_sub(MARGIN_MS)..=to_ms.saturating_add(MARGIN_MS);
        let inner = self.lock();
        let found = inner.anomalies.iter().filter(|(at, _)| within.contains(at));
        found.map(|(_, id)| id.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // It is whole between statements, whatever a panicking holder did.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_belongs_to_the_record_that_was_acknowledged() {
        let stream = StreamIdentity { name: "S".to_owned(), created_ms: 7 };
        let labels = SensorLabels::new(stream);
        for anomaly in [false, true, false] {
            labels.put(anomaly);
        }
        let acknowledged = |nth, sequence_number| {
            labels.acknowledged(Acknowledged { nth, shard_id: "shard-0", sequence_number });
        };
        // Those of another key may come first; one was given up.
        acknowledged(1, "12");
        acknowledged(0, "11");
        assert_eq!(labels.label("S:7:shard-0:12:0:0"), Some(true));
        assert_eq!(labels.label("S:7:shard-0:11:0:0"), Some(false));
        assert_eq!(labels.label("S:7:shard-0:13:0:0"), None);
        assert_eq!(labels.anomalies(0, i64::MAX), ["S:7:shard-0:12:0:0"]);
        assert_eq!(labels.anomalies(0, 1), [""; 0]);
    }
}
