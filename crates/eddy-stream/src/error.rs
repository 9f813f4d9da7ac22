//! What went wrong, said as what the caller does about it.

use std::fmt;

/// What the caller of a source, a sink or a state store does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The same call may succeed later. Implementations have already retried with back-off; the
    /// caller starts the partition again from its last commit.
    Retry,
    /// Another owner has the partition: stop working on it, and write nothing.
    Lost,
    /// Nothing will mend it but a change of settings, permissions or resources: stop, and say so.
    Fatal,
}

/// An error of a source, a sink or a state store.
#[derive(Debug)]
pub struct StreamError {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StreamError {
    /// An error of that kind; `context` is a lower-case fragment that says what was being done and,
    /// for [`ErrorKind::Fatal`], what to change.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// [`StreamError::new`] with [`ErrorKind::Retry`].
    pub fn retry(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Retry, context)
    }

    /// [`StreamError::new`] with [`ErrorKind::Fatal`].
    pub fn fatal(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fatal, context)
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller does about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
