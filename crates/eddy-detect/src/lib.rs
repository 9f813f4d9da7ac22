//! From decoded records to scored rows: a forest a key, or one for the whole partition.
//!
//! It stands between the decoder and the sinks: `Record -> point -> forest -> ScoredRecord`. The
//! principal types are
//!
//! - [`DetectorSettings`]: which columns make the point, which column is the key, the forest's
//!   parameters, when to explain;
//! - [`Detector`]: scores records one after another and owns the models. A model that is not in
//!   memory is asked for with [`Detector::absent_model`] and given with [`Detector::restore`], so
//!   that the caller does the I/O;
//! - [`Grader`]: turns the scores of a model into grades, by a threshold that follows them;
//! - [`RowClock`]: the ROWTIME of a partition's rows, which never goes back.
//!
//! Everything here is a function of its input: no I/O, no clock, no thread, no entropy. It knows
//! neither where records come from nor where rows go.
//!
//! ```
//! use std::sync::Arc;
//! use eddy_detect::{Detector, DetectorSettings};
//! use eddy_record::{Record, Schema, Value};
//!
//! let schema = Arc::new(Schema::walkthrough());
//! let mut detector = Detector::new(&DetectorSettings::default(), schema)?;
//! for reading in 0..400 {
//!     let value = if reading == 399 { 110.0 } else { 10.0 + f64::from(reading % 11) };
//!     let record = Record { values: [Value::Text("s".into()), Value::Double(value)].into() };
//!     let scored = detector.score(&record)?;
//!     assert!(reading < 64 || scored.score.is_some_and(|score| (score > 2.0) == (reading == 399)));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod detector;
mod error;
mod explanation;
mod grade;
mod models;
mod point;
mod rowtime;
mod settings;

pub use detector::{Detector, Scored};
pub use error::{DetectError, DetectorSettingsError};
pub use explanation::Explanation;
pub use grade::{Grade, Grader};
pub use models::{ModelKey, RestoreError};
pub use rowtime::RowClock;
pub use settings::{
    ANOMALY_EXPLANATION, ANOMALY_GRADE, ANOMALY_SCORE, ANOMALY_THRESHOLD, CREATED, DetectorSettings,
};
