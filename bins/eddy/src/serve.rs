//! What every running pipeline has: the page, its status, and the end by signal.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
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
    has_index: bool,
    started: Instant,
}

impl Status {
    pub(crate) fn of(pipeline: &Pipeline, has_index: bool) -> Self {
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
            has_index,
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
            "is_application": self.is_application,
            "has_index": self.has_index,
            "memory_bytes": memory_bytes(),
            "uptime_ms": u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "totals": totals,
            "dead_lettered": totals.dead_lettered(),
            "behind_ms": behind_ms,
            "models": partitions.values().map(|status| status.models).sum::<usize>(),
            "model_bytes": partitions.values().map(|status| status.model_bytes).sum::<usize>(),
            "partitions": partitions,
        })
    }

    /// What the page asks for; once a process.
    pub(crate) fn told(self: &Arc<Self>) -> Result<Told> {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()?;
        let counters = Arc::clone(&self.counters);
        let status = Arc::clone(self);
        Ok(Told {
            status: Arc::new(move || status.to_json()),
            metrics: Arc::new(move || {
                eddy_pipeline::publish(&counters);
                recorder.render()
            }),
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

/// The memory that the process has from the machine, where that can be read.
pub(crate) fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Where a page listens, and what it demands.
#[derive(Clone, Debug, Args)]
pub(crate) struct PageToken {
    /// What the page demands of who asks: in an Authorization header (Bearer) or its login form; a
    /// page beyond this machine demands one
    #[arg(
        long = "page-token",
        value_name = "TOKEN",
        env = "EDDY_PAGE_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,
}

/// What a page says of a running pipeline.
pub(crate) struct Told {
    pub(crate) status: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// An SQL application, each time that it is looked at.
pub(crate) type ApplicationView = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What the page shows of an application while it runs.
#[cfg(feature = "sql")]
pub(crate) fn application_view(
    (name, sql): (&str, &str),
    watched: Arc<eddy_sql::Watched>,
) -> ApplicationView {
    let (name, sql) = (name.to_owned(), sql.to_owned());
    Arc::new(move || {
        let mut view = watched.to_json();
        view["name"] = serde_json::json!(name);
        view["sql"] = serde_json::json!(sql);
        view
    })
}

/// What a page shows beside the pipeline's status.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) index: Option<Arc<eddy_dashboard::Index>>,
    pub(crate) application: Option<ApplicationView>,
    pub(crate) letters: Option<Arc<Path>>,
    pub(crate) labels: Option<Arc<dyn eddy_dashboard::Labels>>,
}

/// Says what is wrong with a token that stands in `place`.
pub(crate) fn check_token(token: &str, place: &'static str) -> Result<()> {
    eddy_dashboard::check_token(token).map_err(anyhow::Error::msg).context(place)
}

/// Serves the page until `stop` is told; returns its address.
pub(crate) async fn page(
    (listen, token): (SocketAddr, Option<String>),
    shown: Shown,
    told: Told,
    mut stop: watch::Receiver<Stop>,
) -> Result<SocketAddr> {
    if let Some(token) = &token {
        check_token(token, "the page's token")?;
    } else if !listen.ip().is_loopback() {
        bail!(
            "{listen} is beyond this machine: give the page a token with --page-token, \
             EDDY_PAGE_TOKEN or page.token, or let it listen on 127.0.0.1"
        );
    }
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; choose another address with --listen")
    })?;
    let address = listener.local_addr()?;
    let Shown { index, application, letters, labels } = shown;
    let parts = DashboardParts {
        index,
        status: told.status,
        metrics: told.metrics,
        application,
        letters,
        labels,
        address,
        token,
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
