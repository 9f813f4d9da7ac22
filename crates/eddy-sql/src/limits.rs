//! What an application holds at most, so that memory is bounded whatever the input.

/// Rows that one ORDER BY holds back: a second of the fastest stream, or the rows of a minute's
/// lateness.
pub(crate) const MAX_HELD_ROWS: usize = 4_000_000;

/// Groups in one window.
pub(crate) const MAX_GROUPS: usize = 1_000_000;

/// Rows in the sliding windows of one OVER, in all partitions.
pub(crate) const MAX_WINDOW_ROWS: usize = 4_000_000;

/// Partitions of one OVER whose window has no bound in time, and keys of a forest with PARTITION BY.
pub(crate) const MAX_KEYS: usize = 100_000;

/// Rows that one side of a join holds.
pub(crate) const MAX_JOIN_ROWS: usize = 1_000_000;
