//! `eddy`: the embedded default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use eddy_dashboard::Labels;
use eddy_detect::DetectorSettings;
use eddy_pipeline::embedded::{Embedded, EmbeddedSettings, MAX_RATE, READINGS_PER_SECOND, STREAM};
use eddy_pipeline::{SchemaSettings, SensorLabels};

use crate::serve::{PageToken, Shown, Status, page};
use crate::signals::on_signals;

/// The flags of the embedded default.
#[derive(Args, Debug)]
pub(crate) struct EmbeddedArgs {
    /// Do not run the simulated sensors: put records yourself
    #[arg(long)]
    no_sensors: bool,
    /// Readings a second of the simulated sensors; 0 for as fast as they go
    #[arg(long, default_value_t = READINGS_PER_SECOND, value_name = "N",
        value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_RATE)))]
    rate: u32,
    /// The page's address
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    #[command(flatten)]
    page: PageToken,
    /// The Kinesis endpoint's address
    #[arg(long, default_value = "127.0.0.1:4567", value_name = "ADDRESS")]
    kinesis_listen: SocketAddr,
    /// The folder for index, state and dead letters
    #[arg(long, default_value = "./eddy-data", value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Trees in the forest
    #[arg(long, default_value_t = 100, value_name = "N")]
    trees: usize,
    /// Points that each tree keeps
    #[arg(long, default_value_t = 256, value_name = "N")]
    sample_size: usize,
    /// How fast old points are forgotten, a rate a record
    #[arg(long, default_value_t = 0.00001, value_name = "RATE", allow_negative_numbers = true)]
    time_decay: f64,
    /// Consecutive records that make one point
    #[arg(long, default_value_t = 1, value_name = "N")]
    shingle_size: usize,
    /// The field whose value chooses the model [default: one model for all records]
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// The seed of the forest
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// A file with the input schema of the records, as `eddy discover` prints it [default:
    /// iotName and iotValue]
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
}

impl EmbeddedArgs {
    fn settings(&self) -> EmbeddedSettings {
        EmbeddedSettings {
            sensors: !self.no_sensors,
            rate: (self.rate > 0).then_some(self.rate),
            kinesis_listen: self.kinesis_listen,
            data_dir: self.data_dir.clone(),
            detector: DetectorSettings {
                trees: self.trees,
                sample_size: self.sample_size,
                time_decay: self.time_decay,
                shingle_size: self.shingle_size,
                key: self.key.clone(),
                seed: self.seed,
                ..DetectorSettings::default()
            },
            schema: SchemaSettings {
                input_schema: self.schema.clone(),
                ..SchemaSettings::default()
            },
            ..EmbeddedSettings::default()
        }
    }
}

/// The sensors' labels, as the page asks for them.
struct Known(Arc<SensorLabels>);

impl Labels for Known {
    fn label(&self, id: &str) -> Option<bool> {
        self.0.label(id)
    }

    fn anomalies(&self, from_ms: i64, to_ms: i64) -> Vec<String> {
        self.0.anomalies(from_ms, to_ms)
    }
}

/// Runs until Ctrl-C.
pub(crate) fn run(args: &EmbeddedArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let stop = on_signals()?;
        let embedded = Embedded::start(&args.settings()).await?;
        let status = Arc::new(Status::of(&embedded.pipeline, true));
        let shown = Shown {
            index: Some(Arc::clone(&embedded.index)),
            letters: Some(args.data_dir.join("dead-letters.ndjson").into()),
            labels: embedded.labels.clone().map(|labels| Arc::new(Known(labels)) as _),
            ..Shown::default()
        };
        let token = args.page.token.clone();
        let told = status.told()?;
        let address = page((args.listen, token), shown, told, stop.clone()).await?;
        eprintln!("page: http://{address}");
        eprintln!(
            "Kinesis endpoint: http://{} (stream {STREAM}, any credentials, region us-east-1)",
            embedded.kinesis
        );
        let done = embedded.run(stop).await;
        eprintln!("{}", status.summary());
        Ok(done?)
    });
    // A write that hangs must not hold the end up.
    runtime.shutdown_background();
    done
}
