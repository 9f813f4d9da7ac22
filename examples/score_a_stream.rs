//! Scores a stream of readings and says why the unusual ones are.

use rcf::ForestSettings;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // # How is a forest made?
    let mut forest = ForestSettings::new(2).build()?;

    // # How is a stream scored?
    // Each reading is scored, then learnt.
    for minute in 0..2000_u16 {
        let hour = f32::from(minute % 60) / 60.0;
        let temperature = if minute == 1500 { 35.0 } else { 20.0 + 3.0 * hour };
        let humidity = 60.0 - 10.0 * hour;
        let score = forest.score(&[temperature, humidity])?;

        // # Why is this one unusual?
        if minute > 500 && score > 2.5 {
            let why = forest.attribution(&[temperature, humidity])?;
            println!("minute {minute}: score {score:.2}");
            println!("  temperature high {:.2}, low {:.2}", why.high[0], why.low[0]);
            println!("  humidity    high {:.2}, low {:.2}", why.high[1], why.low[1]);
        }
        forest.update(&[temperature, humidity])?;
    }
    Ok(())
}
