//! What an application holds at most, so that memory is bounded whatever the input.

/// The bounds of each operator; beyond one the application stops
/// ([`RunError::TooMany`](crate::RunError::TooMany), [`RunError::TooLarge`](crate::RunError::TooLarge)).
/// The defaults are far above what applications need; smaller ones are for tests and small machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows that one ORDER BY, or event time, holds back. Default: 4 000 000, a second of the fastest
    /// stream, or the rows of a minute's lateness.
    pub held_rows: usize,
    /// Rows that leave event time in one part: a jump of the time may let go all that is held.
    /// What comes out does not depend on it. Default: 8192, as many as a filter takes together.
    pub released_rows: usize,
    /// Rows in the sliding windows of one OVER, in all partitions. Default: 4 000 000.
    pub window_rows: usize,
    /// Rows that one side of a join holds. Default: 1 000 000.
    pub join_rows: usize,
    /// Bytes of the rows that one operator holds: texts may be long. Default: 1 GiB.
    pub held_bytes: usize,
    /// Groups, or different items, in one window. Default: 1 000 000.
    pub groups: usize,
    /// Bytes of the keys and aggregates of one window, or of the aggregates of one OVER without
    /// bounds: what COUNT(DISTINCT) and MIN of long texts hold grows with the values, not with the
    /// groups. Default: 1 GiB.
    pub aggregate_bytes: usize,
    /// Partitions of one OVER. Default: 100 000.
    pub keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            held_rows: 4_000_000,
            released_rows: 8192,
            window_rows: 4_000_000,
            join_rows: 1_000_000,
            held_bytes: 1 << 30,
            groups: 1_000_000,
            aggregate_bytes: 1 << 30,
            keys: 100_000,
        }
    }
}

/// What a row that waits for its time takes beside its values: its place in the order, and its part
/// of the arrays of a run, of which there are at most one for 64 rows.
pub(crate) const WAITING_ROW_BYTES: usize = 96;

/// Models of a forest with PARTITION BY.
pub(crate) const MAX_MODELS: usize = 100_000;

/// Bytes of the models of a forest with PARTITION BY, by [`MODEL_POINT_BYTES`]: beyond them the model
/// whose key has not come for the longest is forgotten.
pub(crate) const MAX_MODEL_BYTES: usize = 1 << 30;

/// An estimate of what a tree needs for a point of its sample beside the point's numbers. It is an
/// estimate so that which models are forgotten depends on nothing but the rows.
pub(crate) const MODEL_POINT_BYTES: usize = 16;
