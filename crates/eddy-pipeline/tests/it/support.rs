//! Pipelines in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use eddy_detect::DetectorSettings;
use eddy_pipeline::{Counters, EngineSettings, Outputs, Pipeline, PipelineSettings, Routes, Stop};
use eddy_record::{
    DecodeLimits, Decoder, PartitionId, Position, RawRecord, Schema, StreamIdentity,
};
use eddy_stream::{
    MemoryDeadLetters, MemorySink, MemoryStateStore, Partition, Sink, Source, StreamError,
    SystemClock,
};
use tokio::sync::watch;

pub(crate) fn stream(created_ms: i64) -> StreamIdentity {
    StreamIdentity { name: "readings".to_owned(), created_ms }
}

pub(crate) fn partition(id: &str, parents: &[&str]) -> Partition {
    let parents = parents.iter().map(|parent| PartitionId::new(*parent)).collect();
    Partition { id: PartitionId::new(id), parents }
}

/// A record a tenth of a second.
pub(crate) fn raw(n: u64, data: &str) -> RawRecord {
    RawRecord {
        partition_key: "".into(),
        position: Position::new(n.into()),
        arrival_ms: 1_000_000 + i64::try_from(n).expect("small") * 100,
        data: data.to_owned().into(),
    }
}

pub(crate) fn readings(numbers: std::ops::Range<u64>) -> Vec<RawRecord> {
    let value = |n: u64| if n % 97 == 96 { 110 } else { 10 + n * 7 % 11 };
    numbers
        .map(|n| raw(n, &format!("{{\"iotName\":\"s{}\",\"iotValue\":{}}}", n % 3, value(n))))
        .collect()
}

/// What outlives a run.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) state: MemoryStateStore,
    pub(crate) rows: Arc<MemorySink>,
    pub(crate) letters: Arc<MemoryDeadLetters>,
    pub(crate) counters: Arc<Counters>,
}

impl World {
    pub(crate) fn pipeline(&self, source: Arc<dyn Source>, settings: PipelineSettings) -> Pipeline {
        self.pipeline_to(source, Arc::clone(&self.rows) as Arc<dyn Sink>, settings)
    }

    pub(crate) fn pipeline_to(
        &self,
        source: Arc<dyn Source>,
        sink: Arc<dyn Sink>,
        settings: PipelineSettings,
    ) -> Pipeline {
        let schema = Arc::new(Schema::walkthrough());
        let decoder = Decoder::new(Arc::clone(&schema), DecodeLimits::default()).expect("valid");
        Pipeline {
            source,
            decoder: Arc::new(decoder),
            schema,
            engine: EngineSettings::Detector(detector()),
            outputs: Outputs {
                sinks: vec![sink],
                archives: Vec::new(),
                dead_letters: Arc::clone(&self.letters) as _,
                routes: Routes::default(),
            },
            state: Arc::new(self.state.clone()),
            clock: Arc::new(SystemClock),
            settings,
            counters: Arc::clone(&self.counters),
        }
    }

    /// The rows by id, as JSON.
    pub(crate) fn json(&self) -> BTreeMap<String, String> {
        let json = |row: &eddy_record::ScoredRecord| {
            let mut out = Vec::new();
            row.write_json(&mut out);
            String::from_utf8(out).expect("UTF-8")
        };
        self.rows.rows().iter().map(|(id, row)| (id.clone(), json(row))).collect()
    }
}

/// Small forests, one a sensor.
pub(crate) fn detector() -> DetectorSettings {
    DetectorSettings {
        trees: 10,
        sample_size: 32,
        key: Some("iotName".to_owned()),
        ..DetectorSettings::default()
    }
}

pub(crate) async fn run(pipeline: Pipeline) -> Result<(), StreamError> {
    let (_keep, stop) = watch::channel(Stop::No);
    pipeline.run(stop).await
}
