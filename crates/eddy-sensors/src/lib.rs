//! Simulated sensors: readings whose anomalies are known, from a seed.
//!
//! These are the sensors of the original walkthrough. A reading is
//! `{"iotName":"DemoSensor","iotValue":n}` with n an integer uniform in 10..=20; with a probability
//! of 0.01 it is an anomaly, uniform in 100..=120. This crate stands before the flow: what it makes
//! is put into a stream, or written to standard output, by others.
//!
//! - [`SensorSettings`] say how many sensors there are, how often they fail and from which seed.
//! - [`Sensors`] is the endless iterator over their [`Reading`]s.
//!
//! The same settings give the same bytes on any machine:
//!
//! ```
//! use eddy_sensors::{SensorSettings, Sensors};
//!
//! let sensors = Sensors::new(SensorSettings::default())?;
//! let readings: Vec<_> = sensors.take(10_000).collect();
//!
//! let n_anomalies = readings.iter().filter(|reading| reading.anomaly).count();
//! assert!((60..=140).contains(&n_anomalies));
//! assert!(readings.iter().all(|reading| reading.anomaly == (reading.value >= 100)));
//! assert!(readings[0].to_json().starts_with(br#"{"iotName":"DemoSensor","iotValue":"#));
//! # Ok::<(), eddy_sensors::SensorSettingsError>(())
//! ```
//!
//! It reads no clock and knows no rate: who takes the readings decides when. It does no I/O.

mod sensors;
mod settings;

pub use sensors::{Reading, Sensors};
pub use settings::{SensorSettings, SensorSettingsError};
