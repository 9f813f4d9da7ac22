//! What is refused, and what to change.

use core::error::Error;
use core::fmt;

/// A setting is out of its range.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SettingsError {
    /// Give the setting a value within the range.
    OutOfRange {
        /// The field of [`ForestSettings`](crate::ForestSettings).
        setting: &'static str,
        /// Its range.
        range: &'static str,
        /// Its value.
        actual: f64,
    },
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { setting, range, actual } => {
                write!(f, "{setting} must be {range}, found {actual}")
            }
        }
    }
}

impl Error for SettingsError {}

/// An observation that no forest can take; the forest is unchanged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PointError {
    /// Pass as many numbers as the settings have dimensions (without internal shingling: times the
    /// shingle size).
    Dimensions {
        /// Numbers an observation has.
        expected: usize,
        /// Numbers that were passed.
        actual: usize,
    },
    /// Leave the observation out, or replace the number.
    NotFinite {
        /// Where in the observation it stands.
        dim_idx: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// Count the missing numbers from 0 within the observation.
    MissingIndex {
        /// The index that was passed.
        index: usize,
        /// Numbers that the observation has.
        n_numbers: usize,
    },
    /// Pass the readings' models as indices of the forests, from 0.
    NoSuchModel {
        /// The index that was passed.
        index: usize,
        /// Forests that were passed.
        n_models: usize,
    },
    /// Ask for a range that holds a share of more than 0 and less than 1.
    Coverage {
        /// The share that was asked for.
        actual: f64,
    },
    /// Learn more observations first: [`Forest::is_ready`](crate::Forest::is_ready) tells when
    /// there are enough.
    NotReady,
    /// Set `internal_shingling`: whole points do not tell how observations follow each other.
    ExternalShingles,
}

impl fmt::Display for PointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dimensions { expected, actual } => {
                write!(f, "an observation has {expected} numbers, found {actual}")
            }
            Self::NotFinite { dim_idx, value } => {
                write!(f, "numbers must be finite, found {value} at index {dim_idx}")
            }
            Self::MissingIndex { index, n_numbers } => {
                write!(f, "an observation has {n_numbers} numbers, none at index {index}")
            }
            Self::NoSuchModel { index, n_models } => {
                write!(f, "there are {n_models} forests, none at index {index}")
            }
            Self::Coverage { actual } => {
                write!(f, "a range can hold a share above 0 and below 1, not {actual}")
            }
            Self::NotReady => f.write_str("the forest has learnt too few observations"),
            Self::ExternalShingles => f.write_str("the forest does not make the shingles itself"),
        }
    }
}

impl Error for PointError {}

/// Bytes that are no snapshot of a forest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not begin as a snapshot does: pass what [`Forest::to_bytes`] returned.
    ///
    /// [`Forest::to_bytes`]: crate::Forest::to_bytes
    NotASnapshot,
    /// A newer version of this crate wrote it: use that.
    Version {
        /// The newest version that can be read.
        supported: u16,
        /// The snapshot's.
        actual: u16,
    },
    /// The bytes are cut short or were changed: take another copy.
    Damaged {
        /// What does not fit.
        what: &'static str,
    },
    /// The settings in the snapshot are out of range.
    Settings(SettingsError),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASnapshot => f.write_str("the bytes are no snapshot of a forest"),
            Self::Version { supported, actual } => {
                write!(
                    f,
                    "the snapshot has version {actual}, readable are versions up to {supported}"
                )
            }
            Self::Damaged { what } => write!(f, "the snapshot is damaged: {what}"),
            Self::Settings(_) => f.write_str("the snapshot's settings are out of range"),
        }
    }
}

impl Error for SnapshotError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Settings(error) => Some(error),
            _ => None,
        }
    }
}
