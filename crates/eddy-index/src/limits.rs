//! Bounds of everything that could grow, each with its reason.

/// The largest request body, in bytes: Elasticsearch's `http.max_content_length`.
pub const MAX_BODY_BYTES: usize = 100 * 1024 * 1024;

/// What the bodies of all requests at work may take together, in bytes: so much memory clients can
/// make the endpoint take, however many they are and however slowly they send.
pub const MAX_BODIES_BYTES: usize = 512 * 1024 * 1024;

/// `from + size` of a search may not exceed this: Elasticsearch's `index.max_result_window`.
pub const MAX_RESULT_WINDOW: usize = 10_000;

/// Totals are exact up to this many hits unless the request says otherwise, as in Elasticsearch.
pub const DEFAULT_TRACK_TOTAL_HITS: u64 = 10_000;

/// Buckets in one answer: Elasticsearch's `search.max_buckets`.
pub const MAX_BUCKETS: u32 = 65_536;

/// Memory that the aggregations of one search may take, in bytes.
pub const MAX_AGGREGATION_BYTES: u64 = 256 * 1024 * 1024;

/// Queries and aggregations nested deeper are refused: Elasticsearch's
/// `indices.query.bool.max_nested_depth`.
pub const MAX_QUERY_DEPTH: usize = 30;

/// Values of one `terms` or `ids` query: Elasticsearch's `index.max_terms_count`.
pub const MAX_TERMS: usize = 65_536;

/// Clauses of all `bool` queries of one search, so that a request's cost stays bounded.
pub const MAX_CLAUSES: usize = 4_096;

/// Sort clauses of one search.
pub const MAX_SORT_CLAUSES: usize = 16;

/// Objects nested deeper are refused: Elasticsearch's `index.mapping.depth.limit`.
pub const MAX_DOCUMENT_DEPTH: usize = 20;

/// The longest name of a field with the objects around it, in bytes.
pub const MAX_FIELD_NAME_BYTES: usize = 4_096;

/// Values that one document may have in fields: Elasticsearch limits a mapping to as many fields.
pub const MAX_DOCUMENT_VALUES: usize = 1_000;

/// Longer strings are kept in `_source` but cannot be searched: Lucene's longest term.
pub const MAX_KEYWORD_BYTES: usize = 32_766;

/// The longest document id, in bytes, as in Elasticsearch.
pub const MAX_ID_BYTES: usize = 512;

/// The longest index name, in bytes, as in Elasticsearch.
pub const MAX_INDEX_NAME_BYTES: usize = 255;

/// Indices that may exist at once. Each holds open files and a reader.
pub const MAX_INDICES: usize = 4_000;

/// Writers open at once, each with its own memory and threads; the one unused longest is closed.
/// Three days are written to at once around midnight with clocks that disagree.
pub const MAX_OPEN_WRITERS: usize = 3;

/// Operations that wait for the committer before writers wait in turn.
pub const MAX_QUEUED_WRITES: usize = 64;

/// Operations of one `_bulk` request: each takes a few hundred bytes in memory and in the answer.
pub const MAX_BULK_OPERATIONS: usize = 50_000;

/// Operations that one commit takes together: bounds the time that the first of them waits.
pub const MAX_GROUP_OPERATIONS: usize = 50_000;

/// Operations that an index's writer is given at a time: handing them over one by one wakes its
/// thread for each.
pub const WRITE_BATCH_OPERATIONS: usize = 256;

/// Bytes of documents that it is given at a time: it looks at what memory it has taken behind each
/// batch.
pub const WRITE_BATCH_BYTES: usize = 1024 * 1024;

/// Documents in one message to subscribers.
pub const MAX_LIVE_DOCUMENTS: usize = 256;

/// Messages that a subscriber may lag behind before it loses the oldest.
pub const MAX_LIVE_MESSAGES: usize = 64;

/// Scrolls open at once: Elasticsearch's `search.max_open_scroll_context`.
pub const MAX_SCROLLS: usize = 500;

/// The longest life of a scroll between two pages, in milliseconds: an open scroll keeps the files
/// of its moment on disk.
pub const MAX_SCROLL_KEEP_ALIVE_MS: u64 = 60 * 60 * 1000;

/// Requests at work at once, for each core: an answer of 10 000 hits takes 40 MB while it is made. More
/// wait for their turn.
pub const REQUESTS_PER_CORE: usize = 8;

/// Searches of one `_msearch` request.
pub const MAX_SEARCHES: usize = 1_000;

/// Bytes of the answers of one `_msearch` request: behind them searches are refused, one by one.
pub const MAX_SEARCHES_BYTES: usize = 100 << 20;

/// Buckets of one aggregation that are made by queries (`filters`, `date_range`): each takes a bit a
/// document while it is counted.
pub const MAX_FILTERS: usize = 256;

/// Aggregations that the engine is asked for in one search: one below `filters` is asked for once for
/// each filter, and so on downwards.
pub const MAX_ENGINE_AGGREGATIONS: usize = 4_096;

/// What those repetitions may add to the engine's request, in bytes.
pub const MAX_REPEATED_AGGREGATION_BYTES: usize = 16 * 1024 * 1024;

/// The longest name of an aggregation or key of a filter, in bytes: every bucket repeats it.
pub const MAX_AGGREGATION_NAME_BYTES: usize = 512;

/// Documents that `_delete_by_query` finds and deletes at a time.
pub const DELETE_BATCH: usize = 10_000;

/// Patterns of one `filter_path`: each name of an answer is compared with all of them.
pub const MAX_FILTER_PATHS: usize = 100;

/// Names of one pattern of a `filter_path`.
pub const MAX_FILTER_PATH_PARTS: usize = 20;

/// The longest text of a query string, in bytes.
pub const MAX_QUERY_STRING_BYTES: usize = 32_768;
