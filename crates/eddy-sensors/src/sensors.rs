//! The sensors and what they read.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::draw::{Purpose, Random, Threshold};
use crate::{SensorSettings, SensorSettingsError};

const NORMAL: RangeInclusive<u32> = 10..=20;
const ANOMALOUS: RangeInclusive<u32> = 100..=120;

/// One reading of one sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which sensor, from 0.
    pub sensor_idx: usize,
    /// The sensor's name, which is also the partition key. Cloning is cheap.
    pub name: Arc<str>,
    /// 10..=20, or 100..=120 for an anomaly.
    pub value: u32,
    /// The label: whether the value was drawn as an anomaly.
    pub anomaly: bool,
    // The object up to the value, shared by all readings of the sensor.
    head: Arc<[u8]>,
}

impl Reading {
    /// Appends `{"iotName":"DemoSensor","iotValue":15}`, without a line end.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        let start = out.len();
        let mut rest = self.value;
        // Digits come last first.
        loop {
            out.push(b'0' + (rest % 10).to_le_bytes()[0]);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        out[start..].reverse();
        out.push(b'}');
    }

    /// The reading as [`Reading::write_json`] writes it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.head.len() + 4);
        self.write_json(&mut json);
        json
    }
}

/// The endless readings of all sensors, which take turns: the first sensor's, the second's, and
/// after the last one's the first one's again.
#[derive(Clone, Debug)]
pub struct Sensors {
    sensors: Box<[Sensor]>,
    next_idx: usize,
    random: Random,
    anomaly: Threshold,
}

#[derive(Clone, Debug)]
struct Sensor {
    name: Arc<str>,
    head: Arc<[u8]>,
}

impl Sensors {
    /// Makes the sensors.
    ///
    /// # Errors
    ///
    /// The settings are not [valid](SensorSettings::validate).
    pub fn new(settings: SensorSettings) -> Result<Self, SensorSettingsError> {
        settings.validate()?;
        let sensor = |name: String| {
            let quoted = serde_json::Value::from(name.as_str());
            let head = format!(r#"{{"iotName":{quoted},"iotValue":"#);
            Sensor { name: name.into(), head: head.into_bytes().into() }
        };
        Ok(Self {
            sensors: settings.sensor_names().into_iter().map(sensor).collect(),
            next_idx: 0,
            random: Random::new(settings.seed, Purpose::Readings),
            anomaly: Threshold::new(settings.anomaly_rate),
        })
    }

    /// How many sensors there are.
    pub fn n_sensors(&self) -> usize {
        self.sensors.len()
    }
}

impl Iterator for Sensors {
    type Item = Reading;

    fn next(&mut self) -> Option<Reading> {
        let sensor_idx = self.next_idx;
        self.next_idx = (sensor_idx + 1) % self.sensors.len();
        let anomaly = self.random.happens(self.anomaly);
        let value = uniform(&mut self.random, if anomaly { ANOMALOUS } else { NORMAL });
        let Sensor { name, head } = &self.sensors[sensor_idx];
        let (name, head) = (Arc::clone(name), Arc::clone(head));
        Some(Reading { sensor_idx, name, value, anomaly, head })
    }
}

/// Every number of the range with the same probability.
fn uniform(random: &mut Random, range: RangeInclusive<u32>) -> u32 {
    let draw = random.within((*range.start()).into(), (*range.end()).into());
    u32::try_from(draw).expect("a range of u32 has its numbers")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sensors(settings: SensorSettings) -> Sensors {
        Sensors::new(settings).expect("valid settings")
    }

    fn bytes(settings: &SensorSettings, n_readings: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for reading in sensors(settings.clone()).take(n_readings) {
            reading.write_json(&mut out);
            out.push(b'\n');
        }
        out
    }

    #[test]
    fn the_first_readings_of_the_default_seed_never_change() {
        let text = String::from_utf8(bytes(&SensorSettings::default(), 4)).expect("text");
        let expected = [10, 13, 15, 10]
            .map(|value| format!("{{\"iotName\":\"DemoSensor\",\"iotValue\":{value}}}\n"));
        assert_eq!(text, expected.concat());
    }

    #[test]
    fn normal_readings_are_uniform_and_anomalies_as_frequent_as_asked() {
        let n_readings = 200_000;
        let (mut normal, mut anomalous) = ([0_u32; 11], [0_u32; 21]);
        for reading in sensors(SensorSettings::default()).take(n_readings) {
            match reading.value {
                value @ 10..=20 => normal[(value - 10) as usize] += 1,
                value @ 100..=120 => anomalous[(value - 100) as usize] += 1,
                value => panic!("neither normal nor an anomaly: {value}"),
            }
            assert_eq!(reading.anomaly, reading.value >= 100);
        }
        // Within five standard deviations of 18 000 each, and of 2 000 in all.
        assert!(normal.iter().all(|count| (17_360..=18_640).contains(count)), "{normal:?}");
        let n_anomalies: u32 = anomalous.iter().sum();
        assert!((1_777..=2_223).contains(&n_anomalies), "{n_anomalies}");
        assert!(anomalous.iter().all(|count| (46..=144).contains(count)), "{anomalous:?}");
    }

    #[test]
    fn sensors_take_turns() {
        let settings = SensorSettings { n_sensors: 3, ..SensorSettings::default() };
        let names: Vec<_> = sensors(settings).take(4).map(|reading| reading.name).collect();
        let expected = ["DemoSensor-1", "DemoSensor-2", "DemoSensor-3", "DemoSensor-1"];
        assert!(names.iter().map(AsRef::as_ref).eq(expected), "{names:?}");
    }

    #[test]
    fn anomalies_can_be_never_or_always() {
        for (anomaly_rate, expected) in [(0.0, false), (1.0, true)] {
            let settings = SensorSettings { anomaly_rate, ..SensorSettings::default() };
            assert!(sensors(settings).take(10_000).all(|reading| reading.anomaly == expected));
        }
    }

    #[test]
    fn other_seeds_give_other_readings() {
        let other = SensorSettings { seed: 43, ..SensorSettings::default() };
        assert_ne!(bytes(&SensorSettings::default(), 100), bytes(&other, 100));
    }

    proptest! {
        #[test]
        fn the_same_settings_give_the_same_bytes_and_every_name_survives(
            seed: u64,
            anomaly_rate in 0.0..=1.0,
            name in "\\PC{1,20}|[\"\\\\\n]{1,4}",
        ) {
            let names = vec![name.clone(), "b".to_owned()];
            let settings = SensorSettings { n_sensors: 2, anomaly_rate, seed, names };
            prop_assert_eq!(bytes(&settings, 50), bytes(&settings, 50));
            for reading in sensors(settings).take(10) {
                let json: serde_json::Value = serde_json::from_slice(&reading.to_json())?;
                prop_assert_eq!(json["iotName"].as_str(), Some(reading.name.as_ref()));
                prop_assert_eq!(json["iotValue"].as_u64(), Some(u64::from(reading.value)));
            }
        }
    }
}
