//! Simulated sensors: readings whose anomalies are known, from a seed.
//!
//! This crate stands before the flow: what it makes is put into a stream, or written to a file, by
//! others. It does no I/O and reads no clock: time comes from the scene, and who takes the records
//! decides when. The same settings give the same bytes on any machine.
//!
//! - [`Scene`] says everything: sensors, their signals, faults, rate, format. It is written in
//!   TOML; six [ship](SCENES).
//! - [`Player`] makes a scene's [`SceneRecord`]s, each with the [`Label`] of its fault.
//! - [`Template`] is a record's text with the functions of the Amazon Kinesis Data Generator.
//! - [`Sensors`] are the original walkthrough's alone, with [`SensorSettings`]: the same readings
//!   as of the scene `walkthrough`, without parsing anything.
//!
//! ```
//! use eddy_sensors::{Player, Scene, SceneRecord};
//!
//! let scene = Scene::from_toml(r#"
//!     [[sensors]]
//!     name = "boiler"
//!     count = 2
//!     fields = [{ name = "celsius", signal = { type = "normal", mean = 70, std_dev = 1 } }]
//!
//!     [[faults]]
//!     kind = "spike"
//!     at = [3]
//!     by = 30
//! "#)?;
//! let mut player = Player::new(&scene)?;
//! let mut record = SceneRecord::default();
//! for n_record in 0..8 {
//!     player.next(&mut record);
//!     assert_eq!(record.label.is_some(), n_record >= 6);
//! }
//! assert!(record.data.starts_with(br#"{"sensor":"boiler-2","celsius":"#));
//! # Ok::<(), eddy_sensors::SceneError>(())
//! ```
//!
//! It does not know what a reading should score, and no signal depends on another sensor's fault.

mod check;
mod delivery;
mod draw;
mod fault;
mod player;
mod rate;
mod record;
mod scene;
mod sensors;
mod settings;
mod shipped;
mod signal;
mod template;

pub use check::SceneError;
pub use player::Player;
pub use record::{Delivered, Label, SceneRecord};
pub use scene::{
    Delivery, DetectorHint, Fault, FaultKind, Field, Format, FormatKind, Group, Held, Output,
    Overtaken, Rate, Scene, Season, SensorGroup, Signal, Span, TimeFormat,
};
pub use sensors::{Reading, Sensors};
pub use settings::{SensorSettings, SensorSettingsError};
pub use shipped::SCENES;
pub use template::{Template, TemplateError};
