//! Waiting between attempts: exponential, with full jitter.

use std::time::Duration;

use tokio::time::Instant;

/// The pauses of one sequence of attempts.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    n_failures: u32,
    since: Option<Instant>,
    random: u64,
}

impl Backoff {
    /// Pauses bounded by `first`, then twice as much after every failure, up to `longest`. `salt`
    /// tells sequences apart, so that they do not wait in step.
    pub fn new(first: Duration, longest: Duration, salt: &str) -> Self {
        let random = salt.bytes().fold(0x9e37_79b9_7f4a_7c15, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { first, longest, n_failures: 0, since: None, random: random | 1 }
    }

    /// An attempt has succeeded: the next failure is the first again.
    pub fn reset(&mut self) {
        self.n_failures = 0;
        self.since = None;
    }

    /// How long attempts have failed.
    pub fn failing_for(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Notes a failed attempt and waits a random time, at most the present bound.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_pause()).await;
    }

    /// Notes a failed attempt and says how long to wait: [`Backoff::wait`] for those who have
    /// something else to do meanwhile.
    pub fn next_pause(&mut self) -> Duration {
        self.since.get_or_insert_with(Instant::now);
        let bound = self.first.saturating_mul(1 << self.n_failures.min(16)).min(self.longest);
        self.n_failures += 1;
        // Xorshift: spread, not secrecy.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let share = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        bound.mul_f64(share)
    }
}
