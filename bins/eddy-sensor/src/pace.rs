//! When the next record is due on the clock.

use std::time::Duration;

use tokio::time::Instant;

/// How far a sender that was held up may run ahead of its rate to catch up.
const MAX_CATCH_UP: Duration = Duration::from_secs(1);

/// A scene's time on the clock.
#[derive(Debug)]
pub(crate) struct Pace {
    // When the scene began; `None`: as fast as possible.
    began: Option<Instant>,
}

impl Pace {
    /// The scene begins now; records of one that is not `paced` are due at once.
    pub(crate) fn new(paced: bool, now: Instant) -> Self {
        Self { began: paced.then_some(now) }
    }

    /// When a record is due, or `None` if that is now.
    pub(crate) fn due(&mut self, due_us: i64, now: Instant) -> Option<Instant> {
        let began = self.began?;
        let due = began + Duration::from_micros(u64::try_from(due_us).unwrap_or(0));
        let behind = now.saturating_duration_since(due);
        if let Some(too_far) = behind.checked_sub(MAX_CATCH_UP) {
            self.began = Some(began + too_far);
        }
        (due > now).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_at_the_scenes_time() {
        let start = Instant::now();
        let mut pace = Pace::new(true, start);
        assert_eq!(pace.due(0, start), None);
        assert_eq!(pace.due(100_000, start), Some(start + Duration::from_millis(100)));
        assert_eq!(pace.due(300_000, start + Duration::from_millis(350)), None);
    }

    #[test]
    fn a_sender_held_up_catches_up_with_a_second_at_most() {
        let start = Instant::now();
        let mut pace = Pace::new(true, start);
        let late = start + Duration::from_secs(3600);
        let n_due = (0..1000).take_while(|n| pace.due(n * 10_000, late).is_none()).count();
        assert_eq!(n_due, 101);
    }

    #[test]
    fn without_a_pace_everything_is_due() {
        let start = Instant::now();
        let mut pace = Pace::new(false, start);
        assert!((0..1000).all(|n| pace.due(n * 1_000_000, start).is_none()));
    }
}
