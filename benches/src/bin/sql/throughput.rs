//! Records a second and CPU time a record, bytes to bytes on one thread.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Result, ensure};
use eddy_benches::process::thread_cpu_seconds;
use eddy_record::{DecodeLimits, Decoder, Schema};
use eddy_sql::{Application, Arrival, Options};
use rcf::ForestSettings;
use serde::Deserialize;
use serde_json::json;

use crate::{TUMBLING, WALKTHROUGH};

/// Rows pushed together, as a pipeline does.
const BATCH: usize = 1024;
const TURNS: usize = 5;
/// Of the outputs that are compared.
const CHECKED_RECORDS: usize = 100_000;

/// The walkthrough's application against the loop.
pub(crate) fn walkthrough(n_records: usize) -> Result<()> {
    check()?;
    let input = readings(n_records, 1);
    let (mut sql, mut own) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        sql.push(seconds(|out| application(WALKTHROUGH, &input, out))?);
        own.push(seconds(|out| by_hand(&input, out))?);
    }
    let (sql, own) = (median(sql), median(own));
    println!("{}", line("loop", n_records, own, None));
    println!("{}", line("walkthrough", n_records, sql, Some(own / sql)));
    Ok(())
}

/// COUNT and AVG of a minute by one of 100 keys.
pub(crate) fn tumbling(n_records: usize) -> Result<()> {
    let input = readings(n_records, 100);
    let mut spent = Vec::new();
    for _ in 0..TURNS {
        spent.push(seconds(|out| application(TUMBLING, &input, out))?);
    }
    println!("{}", line("tumbling", n_records, median(spent), None));
    Ok(())
}

fn line(work: &str, n_records: usize, seconds: f64, ratio: Option<f64>) -> serde_json::Value {
    let n = n_records as f64;
    json!({
        "work": work,
        "records": n_records,
        "records_per_s": (n / seconds).round(),
        "cpu_us_per_record": (1e9 * seconds / n).round() / 1000.0,
        "ratio": ratio.map(|ratio| (1000.0 * ratio).round() / 1000.0),
    })
}

/// Readings as lines, one in about a thousand an anomaly; a reading a millisecond.
pub(crate) fn readings(n_records: usize, n_keys: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for n in 0..n_records {
        let value = if n % 997 == 996 { 110 } else { 10 + n * 7 % 11 };
        let key = n * 31 % n_keys;
        writeln!(text, r#"{{"iotName":"Sensor{key}","iotValue":{value}}}"#)
            .expect("a Vec takes everything");
    }
    text
}

fn seconds(run: impl FnOnce(&mut Out) -> Result<()>) -> Result<f64> {
    let start = thread_cpu_seconds();
    let mut out = Out::default();
    run(&mut out)?;
    let spent = thread_cpu_seconds() - start;
    ensure!(out.n_bytes > 0, "nothing came out");
    ensure!(spent > 0.0, "this kernel does not tell a thread's CPU time");
    Ok(spent)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// What comes out: in a buffer that is used again, as for a file, and kept where it is asked for.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    n_bytes: usize,
    kept: Option<Vec<u8>>,
}

impl Out {
    fn written(&mut self) {
        self.n_bytes += self.bytes.len();
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(&self.bytes);
        }
        self.bytes.clear();
    }
}

/// Both make the same bytes.
fn check() -> Result<()> {
    let input = readings(CHECKED_RECORDS, 1);
    let all = |run: &dyn Fn(&mut Out) -> Result<()>| -> Result<Vec<u8>> {
        let mut out = Out { kept: Some(Vec::new()), ..Out::default() };
        run(&mut out)?;
        Ok(out.kept.unwrap_or_default())
    };
    let sql = all(&|out| application(WALKTHROUGH, &input, out))?;
    let own = all(&|out| by_hand(&input, out))?;
    let n_lines = sql.split(|byte| *byte == b'\n').count() - 1;
    ensure!(n_lines == CHECKED_RECORDS, "{n_lines} rows came out");
    ensure!(sql == own, "the application and the loop differ");
    Ok(())
}

/// Bytes of NDJSON through an application.
fn application(text: &str, input: &[u8], out: &mut Out) -> Result<()> {
    let mut application = Application::new(text, Options::new(Schema::walkthrough()))?;
    let decoder = Decoder::new(Arc::new(Schema::walkthrough()), DecodeLimits::default())?;
    let (mut batch, mut decoded) = (application.batch(), Vec::new());
    for (time_ms, line) in (0..).zip(lines(input)) {
        decoder.decode(line, &mut decoded);
        for record in decoded.drain(..) {
            batch.push(&record?, &Arrival { time_ms, arrival_ms: time_ms, ..Arrival::default() });
        }
        if batch.len() >= BATCH {
            application.push(&mut batch)?.write_ndjson(&mut out.bytes);
            out.written();
        }
    }
    application.push(&mut batch)?.write_ndjson(&mut out.bytes);
    application.finish()?.write_ndjson(&mut out.bytes);
    out.written();
    Ok(())
}

fn lines(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

#[derive(Deserialize)]
struct Reading<'a> {
    #[serde(rename = "iotName", borrow)]
    name: Cow<'a, str>,
    #[serde(rename = "iotValue")]
    value: f64,
}

struct Scored<'a> {
    score: f64,
    time_ms: i64,
    reading: Reading<'a>,
}

/// The walkthrough written out: decode, score, sort by second and score, write.
fn by_hand(input: &[u8], out: &mut Out) -> Result<()> {
    let mut settings = ForestSettings::new(1);
    (settings.n_trees, settings.time_decay, settings.seed) = (100, Some(0.000_01), 1);
    let mut forest = settings.build()?;
    let mut second: Vec<Scored<'_>> = Vec::new();
    for (time_ms, line) in (0_i64..).zip(lines(input)) {
        let reading: Reading<'_> = serde_json::from_slice(line)?;
        #[expect(clippy::cast_possible_truncation, reason = "points are f32")]
        let score = forest.score_and_update(&[reading.value as f32])?;
        if second.first().is_some_and(|first| first.time_ms / 1000 < time_ms / 1000) {
            write(&mut second, &mut out.bytes)?;
            out.written();
        }
        second.push(Scored { score, time_ms, reading });
    }
    write(&mut second, &mut out.bytes)?;
    out.written();
    Ok(())
}

/// Writes the rows of one second.
fn write(second: &mut Vec<Scored<'_>>, out: &mut Vec<u8>) -> Result<()> {
    let Some(first) = second.first() else { return Ok(()) };
    second_text(first.time_ms / 1000, out);
    let mut time_text = out.split_off(0);
    let digits_from = time_text.len();
    time_text.extend_from_slice(b"000");
    second.sort_by(|a, b| b.score.total_cmp(&a.score));
    for Scored { score, time_ms, reading } in second.drain(..) {
        let mut ms = time_ms % 1000;
        for digit in time_text[digits_from..].iter_mut().rev() {
            *digit = b'0' + u8::try_from(ms % 10).unwrap_or(0);
            ms /= 10;
        }
        out.extend_from_slice(br#"{"stream":"DESTINATION_SQL_STREAM","rowtime":""#);
        out.extend_from_slice(&time_text);
        out.extend_from_slice(br#"Z","row":{"iotName":"#);
        serde_json::to_writer(&mut *out, &reading.name)?;
        out.extend_from_slice(br#","iotValue":"#);
        number(reading.value, out)?;
        out.extend_from_slice(br#","ANOMALY_SCORE":"#);
        number(score, out)?;
        out.extend_from_slice(br#","created":""#);
        out.extend_from_slice(&time_text);
        out.extend_from_slice(b"Z\"}}\n");
    }
    Ok(())
}

/// serde_json's shortest digits, without the `.0` of whole numbers.
fn number(number: f64, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(&mut *out, &number)?;
    if out.ends_with(b".0") {
        out.truncate(out.len() - 2);
    }
    Ok(())
}

/// `1970-01-01T00:16:40.`: the readings are of the first day.
fn second_text(second: i64, out: &mut Vec<u8>) {
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(out, "1970-01-01T{hour:02}:{minute:02}:{second:02}.").expect("a Vec takes everything");
}
