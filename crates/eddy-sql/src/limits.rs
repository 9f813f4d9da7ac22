//! What an application holds at most, so that memory is bounded whatever the input.

/// Rows that one ORDER BY holds back: a second of the fastest stream, or the rows of a minute's
/// lateness.
pub(crate) const MAX_HELD_ROWS: usize = 4_000_000;

/// Groups in one window.
pub(crate) const MAX_GROUPS: usize = 1_000_000;

/// Rows in the sliding windows of one OVER, in all partitions.
pub(crate) const MAX_WINDOW_ROWS: usize = 4_000_000;

/// Bytes of the aggregates of one window, or of one OVER without bounds: what COUNT(DISTINCT) and
/// MIN of long texts hold grows with the values, not with the groups.
pub(crate) const MAX_AGGREGATE_BYTES: usize = 1 << 30;

/// Partitions of one OVER whose window has no bound in time, and models of a forest with PARTITION BY.
pub(crate) const MAX_KEYS: usize = 100_000;

/// Bytes of the models of a forest with PARTITION BY, by [`MODEL_POINT_BYTES`]: beyond them the model
/// whose key has not come for the longest is forgotten.
pub(crate) const MAX_MODEL_BYTES: usize = 1 << 30;

/// An estimate of what a tree needs for a point of its sample beside the point's numbers. It is an
/// estimate so that which models are forgotten depends on nothing but the rows.
pub(crate) const MODEL_POINT_BYTES: usize = 16;

/// Rows that one side of a join holds.
pub(crate) const MAX_JOIN_ROWS: usize = 1_000_000;
