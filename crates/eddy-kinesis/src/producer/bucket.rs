//! What a shard takes in a second.

use std::time::Duration;

use tokio::time::Instant;

use super::ShardLimits;

/// Tokens for records and for bytes, which come back with time and never exceed a second's.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    limits: ShardLimits,
    records: f64,
    bytes: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full one: a burst of a second.
    pub(super) fn new(limits: ShardLimits, now: Instant) -> Self {
        let (records, bytes) = (f64::from(limits.records_per_s), f64::from(limits.bytes_per_s));
        Self { limits, records, bytes, filled_at: now }
    }

    /// Pays for records, or says how long it takes until it can.
    pub(super) fn take(
        &mut self,
        now: Instant,
        n_records: u32,
        n_bytes: usize,
    ) -> Result<(), Duration> {
        let (most_records, most_bytes) =
            (f64::from(self.limits.records_per_s), f64::from(self.limits.bytes_per_s));
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.records = (self.records + seconds * most_records).min(most_records);
        self.bytes = (self.bytes + seconds * most_bytes).min(most_bytes);
        // What is larger than a bucket takes a full one.
        #[expect(clippy::cast_precision_loss, reason = "a record has at most some MiB")]
        let (records, bytes) = (f64::from(n_records), (n_bytes as f64).min(most_bytes));
        let wait = ((records - self.records) / most_records).max((bytes - self.bytes) / most_bytes);
        if wait > 0.0 {
            // Rounded up, so that the tokens are there then.
            return Err(Duration::from_secs_f64(wait) + Duration::from_micros(1));
        }
        self.records -= records;
        self.bytes -= bytes;
        Ok(())
    }

    /// The shard says that it is full: others write to it too, or its second is another.
    pub(super) fn drain(&mut self, now: Instant) {
        (self.records, self.bytes, self.filled_at) = (0.0, 0.0, now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: ShardLimits = ShardLimits { records_per_s: 1000, bytes_per_s: 1 << 20 };

    #[test]
    fn a_burst_of_a_second_goes_at_once_and_then_a_thousand_a_second() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(LIMITS, start);
        for _ in 0..1000 {
            assert_eq!(bucket.take(start, 1, 10), Ok(()));
        }
        let wait = bucket.take(start, 20, 200).expect_err("empty");
        assert!((19..=21).contains(&wait.as_millis()), "{wait:?}");
        assert_eq!(bucket.take(start + wait, 20, 200), Ok(()));
        assert!(bucket.take(start + wait, 1, 10).is_err());
    }

    #[test]
    fn bytes_count_as_well_as_records() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(LIMITS, start);
        assert_eq!(bucket.take(start, 1, 1 << 20), Ok(()));
        let wait = bucket.take(start, 1, 1 << 19).expect_err("no bytes left");
        assert!((499..=501).contains(&wait.as_millis()), "{wait:?}");
    }

    #[test]
    fn a_record_larger_than_a_second_s_bytes_goes_when_the_bucket_is_full() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(LIMITS, start);
        assert_eq!(bucket.take(start, 1, 10 << 20), Ok(()));
        assert!(bucket.take(start, 1, 10 << 20).is_err());
    }

    proptest! {
        #[test]
        fn no_interval_has_more_than_its_seconds_and_a_burst(
            asks in prop::collection::vec((0_u64..400, 1_u32..300, 1_usize..200_000), 1..200),
        ) {
            let start = Instant::now();
            let mut bucket = TokenBucket::new(LIMITS, start);
            let mut now = start;
            let mut taken = Vec::new();
            for (pause_ms, n_records, n_bytes) in asks {
                now += Duration::from_millis(pause_ms);
                if bucket.take(now, n_records, n_bytes).is_ok() {
                    taken.push((now, n_records, n_bytes));
                }
            }
            for from in 0..taken.len() {
                let (mut records, mut bytes) = (0.0, 0.0);
                for (at, n_records, n_bytes) in &taken[from..] {
                    records += f64::from(*n_records);
                    bytes += *n_bytes as f64;
                    let seconds = (*at - taken[from].0).as_secs_f64() + 1.0;
                    prop_assert!(records <= seconds * 1000.0 + 0.01);
                    prop_assert!(bytes <= seconds * f64::from(1 << 20) + 1.0);
                }
            }
        }
    }
}
