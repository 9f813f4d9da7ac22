//! When the next reading is due.

use std::time::Duration;

use tokio::time::Instant;

/// How far a sender that was held up may run ahead of its rate to catch up.
const MAX_CATCH_UP: Duration = Duration::from_secs(1);

/// A constant rate.
#[derive(Debug)]
pub(crate) struct Pace {
    // `None`: as fast as possible.
    interval: Option<Duration>,
    next: Instant,
}

impl Pace {
    /// `rate` is in records a second, 0 for as fast as possible.
    pub(crate) fn new(rate: f64, now: Instant) -> Self {
        let interval = (rate > 0.0).then(|| Duration::from_secs_f64(rate.recip()));
        Self { interval, next: now }
    }

    /// Takes the next reading's turn: when it is due, or `None` if that is now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Instant> {
        let interval = self.interval?;
        let due = self.next.max(now.checked_sub(MAX_CATCH_UP).unwrap_or(self.next));
        self.next = due + interval;
        (due > now).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_due_at_equal_intervals() {
        let start = Instant::now();
        let mut pace = Pace::new(10.0, start);
        assert_eq!(pace.next(start), None);
        assert_eq!(pace.next(start), Some(start + Duration::from_millis(100)));
        assert_eq!(pace.next(start), Some(start + Duration::from_millis(200)));
        assert_eq!(pace.next(start + Duration::from_millis(350)), None);
    }

    #[test]
    fn a_sender_held_up_catches_up_with_a_second_at_most() {
        let start = Instant::now();
        let mut pace = Pace::new(100.0, start);
        let late = start + Duration::from_secs(3600);
        let n_due = (0..1000).take_while(|_| pace.next(late).is_none()).count();
        assert_eq!(n_due, 101);
    }

    #[test]
    fn without_a_rate_everything_is_due() {
        let start = Instant::now();
        let mut pace = Pace::new(0.0, start);
        assert!((0..1000).all(|_| pace.next(start).is_none()));
    }
}
