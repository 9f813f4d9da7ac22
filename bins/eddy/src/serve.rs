//! What every running pipeline has: the page, its status, and the end by signal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use eddy_dashboard::DashboardParts;
use eddy_detect::DetectorSettings;
use eddy_pipeline::{Counters, EngineSettings, Pipeline, Stop};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the page says of a pipeline.
pub(crate) struct Status {
    counters: Arc<Counters>,
    key: Option<String>,
    columns: Vec<String>,
    threshold: f64,
    is_application: bool,
    started: Instant,
}

impl Status {
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let settings = match &pipeline.engine {
            EngineSettings::Detector(settings) => settings.clone(),
            // Its SQL says what scores are made of; the readings are what came in.
            _ => DetectorSettings::default(),
        };
        let schema = &pipeline.schema;
        // Readings are told apart by the key, else by the first column of text.
        let named = schema.columns.iter().find(|column| !column.sql_type.is_numeric());
        let key = settings.key.clone().or_else(|| named.map(|column| column.name.clone()));
        let columns = if settings.columns.is_empty() {
            let numeric = schema.columns.iter().filter(|column| column.sql_type.is_numeric());
            numeric
                .map(|column| column.name.clone())
                .filter(|name| Some(name) != key.as_ref())
                .collect()
        } else {
            settings.columns
        };
        Self {
            counters: Arc::clone(&pipeline.counters),
            key,
            columns,
            threshold: pipeline.settings.threshold,
            is_application: !matches!(pipeline.engine, EngineSettings::Detector(_)),
            started: Instant::now(),
        }
    }

    fn to_json(&self) -> serde_json::Value {
        let totals = self.counters.totals();
        let partitions = self.counters.partitions();
        let behind_ms = partitions.values().filter_map(|status| status.behind_ms).max();
        serde_json::json!({
            "key": self.key,
            "columns": self.columns,
            "threshold": self.threshold,
            "uptime_ms": u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "totals": totals,
            "dead_lettered": totals.dead_lettered(),
            "behind_ms": behind_ms,
            "models": partitions.values().map(|status| status.models).sum::<usize>(),
            "model_bytes": partitions.values().map(|status| status.model_bytes).sum::<usize>(),
            "partitions": partitions,
        })
    }

    /// The counters, as they are printed at the end.
    pub(crate) fn summary(&self) -> String {
        let totals = self.counters.totals();
        if self.is_application {
            let streams = totals.rows_out_by_stream.iter();
            let streams: Vec<String> =
                streams.map(|(stream, n_rows)| format!("{n_rows} {stream}")).collect();
            return format!(
                "{} records in: {} filtered, {} in aggregates, {} errors; {} rows out ({}): {} \
                 delivered, {} wanted by no sink; {} dead letters; {} commits",
                totals.rows_in,
                totals.filtered,
                totals.aggregated,
                totals.failed,
                totals.rows_out,
                streams.join(", "),
                totals.delivered,
                totals.unrouted,
                totals.dead_lettered(),
                totals.commits,
            );
        }
        format!(
            "{} records: {} delivered, {} dead-lettered; {} scored, {} while learning, {} without \
             a value; {} anomalies (score from {}); {} commits",
            totals.records,
            totals.delivered,
            totals.dead_lettered(),
            totals.scored,
            totals.warming_up,
            totals.unscored,
            totals.anomalies,
            self.threshold,
            totals.commits,
        )
    }
}

/// Serves the page until `stop` is told; returns its address.
pub(crate) async fn page(
    listen: SocketAddr,
    index: Arc<eddy_dashboard::Index>,
    status: Arc<Status>,
    mut stop: watch::Receiver<Stop>,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; choose another address with --listen")
    })?;
    let address = listener.local_addr()?;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()?;
    let counters = Arc::clone(&status.counters);
    let parts = DashboardParts {
        index,
        status: Arc::new(move || status.to_json()),
        metrics: Arc::new(move || {
            eddy_pipeline::publish(&counters);
            recorder.render()
        }),
        address,
    };
    let ended = async move {
        // A sender that is gone ends the page too.
        let _ = stop.wait_for(|stop| *stop != Stop::No).await;
    };
    tokio::spawn(async move {
        if let Err(error) = eddy_dashboard::serve(listener, parts, ended).await {
            tracing::error!(%error, "the page has stopped");
        }
    });
    Ok(address)
}
