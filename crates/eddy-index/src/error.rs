//! What can go wrong, as the kinds that Elasticsearch's clients tell apart.

use std::path::PathBuf;

/// An error of the index. Each knows its HTTP status and Elasticsearch's name for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A setting is out of range: change it.
    #[error("{reason}")]
    Settings {
        /// The field and its range.
        reason: String,
    },
    /// Another process has the folder open: stop it, or choose another folder.
    #[error("the index folder is in use by another process: {}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was written by a newer version: run that version, or choose another folder.
    #[error("the index folder has format {found}, this version reads up to {supported}: {}", path.display())]
    Format {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u64,
        /// The newest format that can be read.
        supported: u64,
    },
    /// The request is not understood or asks for something that is not supported.
    #[error("{reason}")]
    Parsing {
        /// What, by name.
        reason: String,
    },
    /// The request is understood but a value in it is not allowed.
    #[error("{reason}")]
    IllegalArgument {
        /// Which, and the range.
        reason: String,
    },
    /// The request asks for more at once than is done at once.
    #[error("{reason}")]
    TooLarge {
        /// What, and the bound.
        reason: String,
    },
    /// Requests at work take as much memory as they may: try again later.
    #[error(
        "[parent] Data too large: the bodies of all requests would be larger than {most} bytes"
    )]
    TooBusy {
        /// How much they may take.
        most: usize,
    },
    /// A document does not fit the index.
    #[error("{reason}")]
    Document {
        /// The field and what is wrong with it.
        reason: String,
    },
    /// There is no such index.
    #[error("no such index [{index}]")]
    IndexNotFound {
        /// The name as it was asked for.
        index: String,
    },
    /// An index that was to be created exists.
    #[error("index [{index}] already exists")]
    AlreadyExists {
        /// Its name.
        index: String,
    },
    /// The name cannot be an index's.
    #[error("Invalid index name [{index}], {reason}")]
    IndexName {
        /// The name.
        index: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A document that was to be created exists.
    #[error("[{id}]: version conflict, document already exists")]
    Conflict {
        /// Its id.
        id: String,
    },
    /// A document that a query found was changed before it could be deleted.
    #[error("[{id}]: version conflict, the document was changed meanwhile")]
    Changed {
        /// Its id.
        id: String,
    },
    /// A document that was to be updated does not exist.
    #[error("[{id}]: document missing")]
    Missing {
        /// Its id.
        id: String,
    },
    /// A document whose source was asked for does not exist.
    #[error("Document not found [{index}]/[{id}]")]
    SourceNotFound {
        /// The index as it was asked for.
        index: String,
        /// Its id.
        id: String,
    },
    /// A scroll has ended, was cleared or never was: start again.
    #[error("No search context found for id [{id}]")]
    ScrollNotFound {
        /// Its id.
        id: String,
    },
    /// As many scrolls are open as may be: clear some, or wait for them to end.
    #[error("Trying to create too many scroll contexts. Must be less than or equal to: [{most}]")]
    TooManyScrolls {
        /// How many may be open.
        most: usize,
    },
    /// The index has been closed.
    #[error("the index is closed")]
    Closed,
    /// Reading or writing the folder failed: look at the disk.
    #[error("cannot {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The search engine failed.
    #[error("the search engine failed")]
    Engine(#[from] tantivy::TantivyError),
    /// A search stopped where it should not; the index itself is whole.
    #[error("the search stopped unexpectedly: {reason}")]
    Internal {
        /// What is known about it.
        reason: String,
    },
}

impl IndexError {
    pub(crate) fn parsing(reason: impl Into<String>) -> Self {
        Self::Parsing { reason: reason.into() }
    }

    pub(crate) fn unsupported(feature: impl std::fmt::Display) -> Self {
        Self::Parsing { reason: format!("{feature} is not supported by the embedded index") }
    }

    pub(crate) fn illegal(reason: impl Into<String>) -> Self {
        Self::IllegalArgument { reason: reason.into() }
    }

    pub(crate) fn document(reason: impl Into<String>) -> Self {
        Self::Document { reason: reason.into() }
    }

    pub(crate) fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    /// The HTTP status that says the same.
    pub fn status(&self) -> u16 {
        match self {
            Self::Parsing { .. }
            | Self::IllegalArgument { .. }
            | Self::Document { .. }
            | Self::IndexName { .. }
            | Self::AlreadyExists { .. }
            | Self::Settings { .. } => 400,
            Self::IndexNotFound { .. }
            | Self::Missing { .. }
            | Self::SourceNotFound { .. }
            | Self::ScrollNotFound { .. } => 404,
            Self::Conflict { .. } | Self::Changed { .. } => 409,
            Self::TooLarge { .. } => 413,
            Self::TooManyScrolls { .. } | Self::TooBusy { .. } => 429,
            Self::Closed | Self::InUse { .. } => 503,
            Self::Engine(tantivy::TantivyError::AggregationError(_))
            | Self::Engine(tantivy::TantivyError::InvalidArgument(_)) => 400,
            _ => 500,
        }
    }

    /// Elasticsearch's name for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Parsing { .. } => "parsing_exception",
            Self::IllegalArgument { .. } | Self::Settings { .. } => "illegal_argument_exception",
            Self::TooLarge { .. } => "content_too_long_exception",
            Self::Document { .. } => "mapper_parsing_exception",
            Self::IndexName { .. } => "invalid_index_name_exception",
            Self::AlreadyExists { .. } => "resource_already_exists_exception",
            Self::IndexNotFound { .. } => "index_not_found_exception",
            Self::Missing { .. } => "document_missing_exception",
            Self::SourceNotFound { .. } => "resource_not_found_exception",
            Self::ScrollNotFound { .. } => "search_context_missing_exception",
            Self::TooBusy { .. } => "circuit_breaking_exception",
            Self::TooManyScrolls { .. } => "rejected_execution_exception",
            Self::Conflict { .. } | Self::Changed { .. } => "version_conflict_engine_exception",
            Self::Closed | Self::InUse { .. } => "cluster_block_exception",
            Self::Engine(tantivy::TantivyError::AggregationError(_)) => "aggregation_exception",
            Self::Engine(tantivy::TantivyError::InvalidArgument(_)) => "illegal_argument_exception",
            _ => "exception",
        }
    }

    /// The message with those of its causes: what an answer's `reason` says.
    pub fn reason(&self) -> String {
        let mut reason = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            reason.push_str(": ");
            reason.push_str(&error.to_string());
            cause = error.source();
        }
        reason
    }
}
