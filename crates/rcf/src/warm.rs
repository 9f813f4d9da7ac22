//! A forest that begins with a history.

use core::error::Error;
use core::fmt;

use crate::{Forest, ForestSettings, PointError, SettingsError};

/// Why a forest could not begin with a history.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WarmStartError {
    /// A setting is out of its range.
    Settings(SettingsError),
    /// An observation of the history cannot be learnt: leave it out, or fill it in.
    Observation {
        /// Where in the history it stands.
        index: usize,
        /// What is wrong with it.
        error: PointError,
    },
}

impl fmt::Display for WarmStartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(_) => f.write_str("the settings are out of range"),
            Self::Observation { index, .. } => {
                write!(f, "the history cannot be learnt at index {index}")
            }
        }
    }
}

impl Error for WarmStartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Settings(error) => Some(error),
            Self::Observation { error, .. } => Some(error),
        }
    }
}

impl ForestSettings {
    /// Makes a forest that has learnt a history, the oldest observation first: it scores from its
    /// first observation on, where the history has at least `output_after` ones.
    ///
    /// With the default decay, of a history of more than `50 * sample_size` observations the older
    /// ones leave hardly a trace and can be left out.
    ///
    /// ```
    /// let history: Vec<[f32; 1]> = (0..500).map(|n| [(n % 24) as f32]).collect();
    /// let forest = rcf::ForestSettings::new(1).warm_start(&history)?;
    /// assert!(forest.score(&[12.0])? > 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A setting is out of its range, or an observation cannot be learnt.
    ///
    /// Cost: that of [`Forest::update`] for each observation.
    pub fn warm_start<O: AsRef<[f32]>>(
        &self,
        history: impl IntoIterator<Item = O>,
    ) -> Result<Forest, WarmStartError> {
        let mut forest = self.build().map_err(WarmStartError::Settings)?;
        for (index, observation) in history.into_iter().enumerate() {
            forest
                .update(observation.as_ref())
                .map_err(|error| WarmStartError::Observation { index, error })?;
        }
        Ok(forest)
    }
}
