//! When an operator should hear that something keeps failing.

use std::time::Duration;

use tokio::time::Instant;

/// How long attempts fail before it is worth a warning: most failures pass sooner.
const FIRST_WARNING: Duration = Duration::from_secs(5);
/// The time between two warnings of the same trouble.
const WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// Says, of one sequence of attempts, whether it is time to warn that it keeps failing: once after
/// five seconds, then every thirty, so that a long trouble is seen and a log is not flooded.
///
/// It logs nothing itself, for it knows neither what is being tried nor why it fails.
///
/// ```
/// # use eddy_stream::FailureLog;
/// let mut failures = FailureLog::default();
/// # let attempt = || Err::<(), _>("throttled");
/// match attempt() {
///     Ok(()) => {
///         failures.succeeded();
///     }
///     Err(reason) => {
///         if let Some(failing_for) = failures.failed() {
///             // tracing::warn!(reason, ?failing_for, "writing keeps failing; trying on");
///             # let _ = (reason, failing_for);
///         }
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub struct FailureLog {
    since: Option<Instant>,
    last_warning: Option<Instant>,
}

impl FailureLog {
    /// Notes a failed attempt. Returns how long attempts have failed if it is time to say so.
    pub fn failed(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let failing_for = now - *self.since.get_or_insert(now);
        let due = match self.last_warning {
            None => failing_for >= FIRST_WARNING,
            Some(last) => now - last >= WARNING_INTERVAL,
        };
        due.then(|| {
            self.last_warning = Some(now);
            failing_for
        })
    }

    /// Notes a successful attempt: the next failure is the first again. Returns how long attempts
    /// had failed if a warning was due meanwhile, so that its end can be told as well.
    pub fn succeeded(&mut self) -> Option<Duration> {
        let failed_since = self.since.take();
        self.last_warning.take().and(failed_since).map(|since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_warning_is_due_after_five_seconds_and_then_every_thirty() {
        let mut failures = FailureLog::default();
        let mut warned_at = Vec::new();
        for second in 0..70 {
            if let Some(failing_for) = failures.failed() {
                assert_eq!(failing_for.as_secs(), second);
                warned_at.push(second);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(warned_at, [5, 35, 65]);
        assert_eq!(failures.succeeded(), Some(Duration::from_secs(70)));
        assert_eq!(failures.failed(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_passes_at_once_is_not_worth_a_word() {
        let mut failures = FailureLog::default();
        for _ in 0..20 {
            assert_eq!(failures.failed(), None);
            tokio::time::advance(Duration::from_secs(4)).await;
            assert_eq!(failures.failed(), None);
            assert_eq!(failures.succeeded(), None);
        }
    }
}
