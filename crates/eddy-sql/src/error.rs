//! What is wrong with an application's text, and where.

use std::fmt;

use sqlparser::tokenizer::Location;

/// A place in the text of an application, both from 1; 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The character in the line.
    pub column: u64,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line, column: location.column }
    }
}

/// An application that cannot be run: nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// Where it begins to be wrong.
    pub place: Place,
    /// The construct's name, such as `HOTSPOTS` or `ORDER BY inside OVER`.
    pub construct: String,
    /// What is wrong with it.
    pub problem: String,
    /// The way to write it, where there is one.
    pub instead: Option<String>,
}

impl SqlError {
    pub(crate) fn new(
        place: impl Into<Place>,
        construct: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        let (construct, problem) = (construct.into(), problem.into());
        Self { place: place.into(), construct, problem, instead: None }
    }

    /// A construct that is not supported.
    pub(crate) fn unsupported(place: impl Into<Place>, construct: impl Into<String>) -> Self {
        Self::new(place, construct, "not supported")
    }

    #[must_use]
    pub(crate) fn instead(mut self, way: impl Into<String>) -> Self {
        self.instead = Some(way.into());
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.line > 0 {
            write!(f, "line {}, column {}: ", self.place.line, self.place.column)?;
        }
        write!(f, "{}: {}", self.construct, self.problem)?;
        match &self.instead {
            Some(instead) => write!(f, "; {instead}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SqlError {}

/// A running application that cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// More rows or groups are held than fit: shorten the window or group by fewer keys.
    #[error("{held} holds more than {most} rows")]
    TooMany {
        /// Which operator of which pump.
        held: String,
        /// The bound.
        most: usize,
    },
    /// The values that are aggregated need more memory than there is for them: shorten the window,
    /// group by fewer keys, or count fewer distinct values.
    #[error("{held} needs more than {most_bytes} bytes")]
    TooLarge {
        /// Which operator of which pump.
        held: String,
        /// The bound.
        most_bytes: usize,
    },
    /// The bytes are no snapshot of this application: start it without one.
    #[error("this is no snapshot of the application: {reason}")]
    Snapshot {
        /// What is wrong with them.
        reason: String,
    },
    /// An expression cannot be evaluated for reasons that no row is at fault for.
    #[error("cannot evaluate: {0}")]
    Evaluation(#[from] datafusion_common::DataFusionError),
}

impl From<arrow::error::ArrowError> for RunError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Evaluation(error.into())
    }
}
