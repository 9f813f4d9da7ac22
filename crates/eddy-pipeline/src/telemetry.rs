//! The counters as metrics.

use crate::Counters;

/// Sets the metrics of the process's recorder to what the counters say: call it before they are
/// read. Names and meanings are in docs/metrics.md.
pub fn publish(counters: &Counters) {
    let totals = counters.totals();
    for (name, value) in [
        ("eddy_payloads_total", totals.payloads),
        ("eddy_payload_bytes_total", totals.bytes),
        ("eddy_records_total", totals.records),
        ("eddy_records_scored_total", totals.scored),
        ("eddy_records_warming_up_total", totals.warming_up),
        ("eddy_records_unscored_total", totals.unscored),
        ("eddy_anomalies_total", totals.anomalies),
        ("eddy_records_delivered_total", totals.delivered),
        ("eddy_records_clamped_total", totals.clamped),
        ("eddy_commits_total", totals.commits),
        ("eddy_watermarks_total", totals.watermarks),
        ("eddy_sql_rows_in_total", totals.rows_in),
        ("eddy_sql_rows_filtered_total", totals.filtered),
        ("eddy_sql_rows_aggregated_total", totals.aggregated),
        ("eddy_sql_rows_failed_total", totals.failed),
        ("eddy_sql_rows_late_total", totals.late),
        ("eddy_sql_rows_unrouted_total", totals.unrouted),
        ("eddy_partition_restarts_total", totals.restarts),
    ] {
        metrics::counter!(name).absolute(value);
    }
    for (stream, n_rows) in totals.rows_out_by_stream {
        metrics::counter!("eddy_sql_rows_out_total", "stream" => stream).absolute(n_rows);
    }
    for (stage, value) in [
        ("decode", totals.dead_decode),
        ("detect", totals.dead_detect),
        ("deliver", totals.dead_deliver),
    ] {
        metrics::counter!("eddy_records_dead_lettered_total", "stage" => stage).absolute(value);
    }
    for (stage, nanoseconds) in [
        ("decode", totals.decode_ns),
        ("score", totals.score_ns),
        ("deliver", totals.deliver_ns),
        ("commit", totals.commit_ns),
    ] {
        metrics::counter!("eddy_stage_milliseconds_total", "stage" => stage)
            .absolute(nanoseconds / 1_000_000);
    }
    #[expect(clippy::cast_precision_loss, reason = "gauges are f64")]
    for (partition, status) in counters.partitions() {
        let partition = partition.as_str().to_owned();
        if let Some(behind_ms) = status.behind_ms {
            metrics::gauge!("eddy_behind_milliseconds", "partition" => partition.clone())
                .set(behind_ms as f64);
        }
        let held_ms = status.holds_merge_ms.unwrap_or(0);
        metrics::gauge!("eddy_merge_held_milliseconds", "shard" => partition.clone())
            .set(held_ms as f64);
        for (sink, rows) in status.waiting_rows {
            metrics::gauge!("eddy_sink_waiting_rows", "partition" => partition.clone(), "sink" => sink)
                .set(rows as f64);
        }
        metrics::gauge!("eddy_models", "partition" => partition.clone()).set(status.models as f64);
        metrics::gauge!("eddy_model_bytes", "partition" => partition)
            .set(status.model_bytes as f64);
    }
}
