//! Histograms that show their empty buckets are refused before they are counted where there would
//! be too many: the engine makes them first and counts them then.

use serde_json::json;
use tantivy::Searcher;
use tantivy::aggregation::agg_req::Aggregations;
use tantivy::aggregation::{AggContextParams, AggregationCollector};
use tantivy::columnar::{ColumnType, MonotonicallyMappableToU64};
use tantivy::query::Query;
use tantivy::tokenizer::TokenizerManager;

use crate::IndexError;
use crate::aggs::Aggregation;
use crate::limits::MAX_BUCKETS;

/// Refuses histograms of too many buckets. It costs a look at each segment, and a pass over what
/// the query finds only where all documents together would make too many.
pub(crate) fn check(
    aggs: &[Aggregation],
    query: &dyn Query,
    searchers: &[&Searcher],
) -> Result<(), IndexError> {
    for agg in aggs {
        if let Some(histogram) = agg.gapless_histogram() {
            let too_many = |mut extent: Extent| {
                if let Some((min, max)) = histogram.extended {
                    extent = extent.with(min, max);
                }
                if let Some((min, max)) = histogram.hard {
                    extent = Extent { min: extent.min.max(min), max: extent.max.min(max) };
                }
                extent.width() / histogram.interval > f64::from(MAX_BUCKETS)
            };
            let column = histogram.column;
            if too_many(whole(column, searchers)?) && too_many(found(column, query, searchers)?) {
                return Err(IndexError::illegal(format!(
                    "Trying to create too many buckets. Must be less than or equal to: \
                     [{MAX_BUCKETS}]"
                )));
            }
        }
        check(agg.below(), query, searchers)?;
    }
    Ok(())
}

/// The least and the greatest value of a column, of a date in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Extent {
    pub(crate) const EMPTY: Self = Self { min: f64::INFINITY, max: f64::NEG_INFINITY };

    fn with(self, min: f64, max: f64) -> Self {
        Self { min: self.min.min(min), max: self.max.max(max) }
    }

    fn width(self) -> f64 {
        (self.max - self.min).max(0.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a bound need not be exact")]
fn whole(column: &str, searchers: &[&Searcher]) -> Result<Extent, IndexError> {
    let types = [ColumnType::F64, ColumnType::DateTime];
    let mut extent = Extent::EMPTY;
    for segment in searchers.iter().flat_map(|searcher| searcher.segment_readers()) {
        if let Some((values, kind)) =
            segment.fast_fields().u64_lenient_for_type(Some(&types), column)?
        {
            let number = |value: u64| match kind {
                ColumnType::DateTime => i64::from_u64(value) as f64 / 1e6,
                _ => f64::from_u64(value),
            };
            extent = extent.with(number(values.min_value()), number(values.max_value()));
        }
    }
    Ok(extent)
}

/// The extent of a column in what a query finds.
pub(crate) fn found(
    column: &str,
    query: &dyn Query,
    searchers: &[&Searcher],
) -> Result<Extent, IndexError> {
    let request = json!({"min": {"min": {"field": column}}, "max": {"max": {"field": column}}});
    let request: Aggregations = serde_json::from_value(request)
        .map_err(|error| IndexError::Internal { reason: error.to_string() })?;
    let to_ms =
        if crate::fields::kind(column) == crate::fields::FieldKind::Date { 1e6 } else { 1.0 };
    let mut extent = Extent::EMPTY;
    for searcher in searchers {
        let context = AggContextParams::new(Default::default(), TokenizerManager::default());
        let collector = AggregationCollector::from_aggs(request.clone(), context);
        let results = serde_json::to_value(searcher.search(query, &collector)?)
            .map_err(|error| IndexError::Internal { reason: error.to_string() })?;
        if let (Some(min), Some(max)) =
            (results["min"]["value"].as_f64(), results["max"]["value"].as_f64())
        {
            extent = extent.with(min / to_ms, max / to_ms);
        }
    }
    Ok(extent)
}
