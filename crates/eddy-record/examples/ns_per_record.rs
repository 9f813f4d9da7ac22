//! What does a record cost to decode and a row to write? Run with `--release`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use eddy_record::{
    Column, DecodeLimits, Decoder, DocumentId, PartitionId, Position, Schema, SchemaError,
    ScoredRecord, SqlType, StreamIdentity, Value,
};

const N: u32 = 2_000_000;

fn main() -> Result<(), SchemaError> {
    let decoder = Decoder::new(Arc::new(Schema::walkthrough()), DecodeLimits::default())?;
    let mut out = Vec::new();
    report("decode", || {
        out.clear();
        decoder.decode(black_box(br#"{"iotName":"DemoSensor","iotValue":15}"#), &mut out);
    });

    let row = scored();
    let mut json = Vec::new();
    report("write_json", || {
        json.clear();
        black_box(&row).write_json(&mut json);
    });
    let mut csv = Vec::new();
    report("write_csv_row", || {
        csv.clear();
        black_box(&row).write_csv_row(&mut csv);
    });
    Ok(())
}

fn report(name: &str, mut run: impl FnMut()) {
    let start = Instant::now();
    (0..N).for_each(|_| run());
    println!("{name}: {} ns", start.elapsed().as_nanos() / u128::from(N));
}

/// A row as the walkthrough's pipeline writes it.
fn scored() -> ScoredRecord {
    let mut schema = Schema::walkthrough();
    for (name, sql_type) in [("ANOMALY_SCORE", SqlType::Double), ("created", SqlType::Timestamp)] {
        schema.columns.push(Column {
            name: name.to_owned(),
            sql_type,
            mapping: None,
            nullable: false,
        });
    }
    let stream = StreamIdentity { name: "RawStreamData".to_owned(), created_ms: 0 };
    let position = Position::new(1_u64.into());
    ScoredRecord {
        id: DocumentId::new(&stream, &PartitionId::new("shardId-000000000000"), &position, 0),
        created_ms: 1_795_435_200_040,
        schema: Arc::new(schema),
        values: Box::new([
            Value::Text("DemoSensor".into()),
            Value::Double(15.0),
            Value::Double(0.987_654_321_012_345_6),
            Value::TimestampMs(1_795_435_200_040),
        ]),
    }
}
