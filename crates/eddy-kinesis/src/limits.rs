//! The service's limits, from "Quotas and limits" and the API reference of Kinesis Data Streams.

/// Records in one PutRecords request (PutRecords).
pub const MAX_REQUEST_RECORDS: usize = 500;
/// Bytes of one PutRecords request, partition keys included. The API reference says 10 MiB, older
/// texts 5 MiB: the smaller works with both.
pub const MAX_REQUEST_BYTES: usize = 5 << 20;
/// Bytes of one record, payload and partition key, unless the stream allows more (PutRecord).
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// Records that one GetRecords returns at most (GetRecords).
pub(crate) const MAX_READ_RECORDS: i32 = 10_000;
/// A shard may be read five times a second (GetRecords).
pub(crate) const MIN_READ_INTERVAL_MS: u64 = 200;
/// Records that a shard takes in a second (Quotas and limits).
pub(crate) const SHARD_RECORDS_PER_S: u32 = 1000;
/// Bytes that a shard takes in a second, partition keys included (Quotas and limits: 1 MB).
pub(crate) const SHARD_BYTES_PER_S: u32 = 1 << 20;
/// Characters of a partition key (PutRecords).
pub(crate) const MAX_PARTITION_KEY_CHARS: usize = 256;
