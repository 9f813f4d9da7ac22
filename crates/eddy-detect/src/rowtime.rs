//! ROWTIME: a partition's time, which is data and never goes back.

/// Assigns ROWTIMEs: the record's arrival, or the ROWTIME before it where that is later.
///
/// What arrives behind is moved up and counted as clamped, so nothing is ever late by ROWTIME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowClock {
    // The latest ROWTIME given or watermark seen; i64::MIN before the first.
    now_ms: i64,
}

impl Default for RowClock {
    fn default() -> Self {
        Self { now_ms: i64::MIN }
    }
}

impl RowClock {
    /// A clock that continues where an earlier one stood.
    pub fn resume(now_ms: Option<i64>) -> Self {
        Self { now_ms: now_ms.unwrap_or(i64::MIN) }
    }

    /// The ROWTIME of a record that arrived at `arrival_ms`, and whether it was clamped.
    pub fn rowtime(&mut self, arrival_ms: i64) -> (i64, bool) {
        let clamped = arrival_ms < self.now_ms;
        self.now_ms = self.now_ms.max(arrival_ms);
        (self.now_ms, clamped)
    }

    /// Moves on to a watermark: no later ROWTIME is before it.
    pub fn advance(&mut self, watermark_ms: i64) {
        self.now_ms = self.now_ms.max(watermark_ms);
    }

    /// Where the clock stands, for [`RowClock::resume`]; `None` before the first record.
    pub fn now_ms(&self) -> Option<i64> {
        (self.now_ms != i64::MIN).then_some(self.now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_arrived_earlier_is_moved_up_and_counted() {
        let mut clock = RowClock::default();
        assert_eq!(clock.rowtime(1000), (1000, false));
        assert_eq!(clock.rowtime(900), (1000, true));
        clock.advance(2000);
        assert_eq!(clock.rowtime(1500), (2000, true));
        assert_eq!(clock.rowtime(2000), (2000, false));
        assert_eq!(RowClock::resume(clock.now_ms()), clock);
    }
}
