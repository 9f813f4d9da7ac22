//! How many sensors, how often they fail, from which seed.

use serde::{Deserialize, Serialize};

/// What [`Sensors`](crate::Sensors) are made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SensorSettings {
    /// How many sensors take turns, 1..=1 000 000; default 1.
    pub n_sensors: u32,
    /// The probability that a reading is an anomaly, 0.0..=1.0; default 0.01.
    pub anomaly_rate: f64,
    /// The same seed gives the same readings; default 42.
    pub seed: u64,
    /// The sensors' names, one each. Empty (the default): a single sensor is `DemoSensor`, several
    /// are `DemoSensor-1`, `DemoSensor-2` and so on.
    pub names: Vec<String>,
}

impl SensorSettings {
    /// The most sensors: each keeps its name in memory.
    pub const MAX_SENSORS: u32 = 1_000_000;

    /// Checks the settings whole.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), SensorSettingsError> {
        let n_sensors = self.n_sensors;
        if !(1..=Self::MAX_SENSORS).contains(&n_sensors) {
            return Err(SensorSettingsError::Sensors { n_sensors });
        }
        if !(0.0..=1.0).contains(&self.anomaly_rate) {
            return Err(SensorSettingsError::AnomalyRate { anomaly_rate: self.anomaly_rate });
        }
        if !self.names.is_empty() && u32::try_from(self.names.len()) != Ok(n_sensors) {
            let n_names = self.names.len();
            return Err(SensorSettingsError::Names { n_sensors, n_names });
        }
        match self.names.iter().position(String::is_empty) {
            Some(sensor_idx) => Err(SensorSettingsError::Nameless { sensor_idx }),
            None => Ok(()),
        }
    }

    /// The names, one a sensor.
    pub(crate) fn sensor_names(&self) -> Vec<String> {
        match self.n_sensors {
            _ if !self.names.is_empty() => self.names.clone(),
            1 => vec!["DemoSensor".to_owned()],
            n_sensors => (1..=n_sensors).map(|number| format!("DemoSensor-{number}")).collect(),
        }
    }
}

impl Default for SensorSettings {
    fn default() -> Self {
        Self { n_sensors: 1, anomaly_rate: 0.01, seed: 42, names: Vec::new() }
    }
}

/// Why sensors cannot be made from settings.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SensorSettingsError {
    /// Choose a number in the range.
    #[error("expected 1..={} sensors, found {n_sensors}", SensorSettings::MAX_SENSORS)]
    Sensors {
        /// The number as it came.
        n_sensors: u32,
    },
    /// Choose a probability.
    #[error("expected an anomaly rate of 0..=1, found {anomaly_rate}")]
    AnomalyRate {
        /// The rate as it came.
        anomaly_rate: f64,
    },
    /// Give a name to each sensor, or to none.
    #[error("expected {n_sensors} names, found {n_names}")]
    Names {
        /// How many sensors there are.
        n_sensors: u32,
        /// How many names there are.
        n_names: usize,
    },
    /// A name is a partition key, which is never empty.
    #[error("sensor {sensor_idx} has an empty name")]
    Nameless {
        /// The sensor's place, from 0.
        sensor_idx: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        let with = |change: &dyn Fn(&mut SensorSettings)| {
            let mut settings = SensorSettings::default();
            change(&mut settings);
            settings.validate()
        };
        assert_eq!(with(&|_| ()), Ok(()));
        assert!(with(&|settings| settings.n_sensors = 0).is_err());
        assert!(with(&|settings| settings.n_sensors = u32::MAX).is_err());
        for rate in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(with(&|settings| settings.anomaly_rate = rate).is_err(), "{rate}");
        }
        assert!(with(&|settings| settings.names = vec![String::new()]).is_err());
        assert!(with(&|settings| settings.names = vec!["a".into(), "b".into()]).is_err());
        assert_eq!(with(&|settings| settings.names = vec!["boiler".into()]), Ok(()));
    }

    #[test]
    fn a_single_sensor_has_the_walkthroughs_name_and_several_are_numbered() {
        let mut settings = SensorSettings::default();
        assert_eq!(settings.sensor_names(), ["DemoSensor"]);
        settings.n_sensors = 3;
        assert_eq!(settings.sensor_names(), ["DemoSensor-1", "DemoSensor-2", "DemoSensor-3"]);
        settings.names = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(settings.sensor_names(), ["a", "b", "c"]);
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_str::<SensorSettings>(r#"{"seed":7}"#).is_ok());
        assert!(serde_json::from_str::<SensorSettings>(r#"{"sneed":7}"#).is_err());
    }
}
