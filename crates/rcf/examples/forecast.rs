//! Forecasts a noisy daily rhythm that has a hole in it, and draws what came of it.
//!
//! `cargo run --release -p rcf --example forecast`

use rcf::{Fill, ForestSettings};

const HOURS: usize = 24 * 60;
const AHEAD: usize = 24;
const WIDTH: usize = 60;

/// A day's rhythm with some noise, 10 to 90.
fn load(hour: usize, noise: f32) -> f32 {
    50.0 + 35.0 * (std::f32::consts::TAU * hour as f32 / 24.0).sin() + 5.0 * noise
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        2.0 * (state >> 40) as f32 / (1 << 24) as f32 - 1.0
    };
    let readings: Vec<f32> = (0..HOURS + AHEAD).map(|hour| load(hour, noise())).collect();

    // A shingle of half a day shows where in the day it is.
    let mut settings = ForestSettings::new(1);
    settings.shingle_size = 12;
    let mut forest = settings.build()?;

    // Did the forest learn well enough while five hours were missing every week?
    let mut n_missed = 0;
    for (hour, reading) in readings[..HOURS].iter().enumerate() {
        if hour % 168 >= 163 {
            n_missed += 1;
            continue;
        }
        forest.update_after_gap(n_missed, &[*reading], Fill::Forest)?;
        n_missed = 0;
    }

    // What comes next, and in which range with a probability of 0.8?
    let forecast = forest.forecast(AHEAD)?;
    println!("hour   lower  median   upper    came   0 {:>WIDTH$}", 100);
    let mut n_within = 0;
    for (ahead, came) in readings[HOURS..].iter().enumerate() {
        let (lower, upper) = (forecast.lower[ahead], forecast.upper[ahead]);
        let median = forecast.median[ahead];
        n_within += usize::from((lower..=upper).contains(came));
        let line: String = (0..=WIDTH)
            .map(|column| {
                let within = |x: f32| (x / 100.0 * WIDTH as f32).round() - column as f32;
                match () {
                    () if within(*came) == 0.0 => 'o',
                    () if within(median) == 0.0 => '|',
                    () if within(lower) <= 0.0 && within(upper) >= 0.0 => '-',
                    () => ' ',
                }
            })
            .collect();
        println!("{ahead:>4} {lower:>7.1} {median:>7.1} {upper:>7.1} {came:>7.1}   {line}");
    }
    println!("{n_within} of {AHEAD} came within the range");

    // And how unusual would a quiet noon be?
    println!("score of what is expected: {:.2}", forest.score(&[forecast.median[0]])?);
    println!("score of a sudden zero:    {:.2}", forest.score(&[0.0])?);
    Ok(())
}
