//! The services' limits, and how long a sink tries.

/// Records in one PutRecordBatch request ("Amazon Data Firehose quota").
pub const MAX_FIREHOSE_REQUEST_RECORDS: usize = 500;
/// Bytes of one PutRecordBatch request, before base64 ("Amazon Data Firehose quota").
pub const MAX_FIREHOSE_REQUEST_BYTES: usize = 4 << 20;
/// Bytes of one Firehose record, before base64 ("Amazon Data Firehose quota").
pub const MAX_FIREHOSE_RECORD_BYTES: usize = 1000 << 10;
/// Bytes of one `_bulk` request unless the settings say otherwise: half of what the smallest
/// instances of Amazon OpenSearch Service accept ("Amazon OpenSearch Service quotas", 10 MiB).
pub const BULK_REQUEST_BYTES: usize = 5 << 20;
/// How long one `_bulk` request may take, in milliseconds: a busy cluster answers late, one that
/// hangs never does.
pub const BULK_REQUEST_TIMEOUT_MS: u64 = 60_000;
/// Documents in one `_bulk` request, so that an answer stays small.
pub const MAX_BULK_DOCUMENTS: usize = 5_000;
/// Bytes of an answer that are read: 5 000 items of an error with a long reason each.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How long rows are tried again before the partition starts again at its last commit, in
/// milliseconds.
pub const GIVE_UP_AFTER_MS: u64 = 300_000;
/// How long Firehose may give no answer at the start, in milliseconds: longer than a network needs
/// that comes up with the machine.
pub const ANSWER_WITHIN_MS: u64 = 30_000;
/// Bytes of an archive's object before compression unless the settings say otherwise. Memory holds
/// the object of every partition: compressed, or for Parquet as it is, and while such a one is
/// written its file too.
pub const ARCHIVE_OBJECT_BYTES: usize = 32 << 20;
/// The most that settings may ask for: S3 takes 5 GiB in one request, memory is dearer.
pub const MAX_ARCHIVE_OBJECT_BYTES: usize = 512 << 20;
