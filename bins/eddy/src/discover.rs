//! `eddy discover`: a schema from a sample.

use std::io::{Read as _, Write as _};

use anyhow::{Context, Result};

/// How much of the input is looked at.
const SAMPLE_BYTES: u64 = 4 << 20;

/// Reads records on standard input, one a line, and prints an input schema.
pub(crate) fn run() -> Result<()> {
    let mut sample = Vec::new();
    std::io::stdin()
        .lock()
        .take(SAMPLE_BYTES)
        .read_to_end(&mut sample)
        .context("cannot read standard input")?;
    let lines = sample.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let found = eddy_record::discover(lines)?;
    found.notes.iter().for_each(|note| eprintln!("eddy: {note}"));
    let mut text = serde_json::to_string_pretty(&found.schema.to_input_schema_json())?;
    text.push('\n');
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}
