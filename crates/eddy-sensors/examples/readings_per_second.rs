//! How many readings a second does one core make? Run with `--release`.

use std::time::Instant;

use eddy_sensors::{SensorSettings, Sensors};

fn main() -> Result<(), eddy_sensors::SensorSettingsError> {
    const N_READINGS: usize = 10_000_000;
    let mut line = Vec::new();
    let mut n_bytes = 0;
    let start = Instant::now();
    for reading in
        Sensors::new(SensorSettings { n_sensors: 8, ..SensorSettings::default() })?.take(N_READINGS)
    {
        line.clear();
        reading.write_json(&mut line);
        n_bytes += line.len();
    }
    let millis = start.elapsed().as_millis().max(1);
    println!("{} readings/s, {n_bytes} bytes", N_READINGS as u128 * 1000 / millis);
    Ok(())
}
