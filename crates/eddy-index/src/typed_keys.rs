//! `typed_keys`: the names of aggregations in an answer with their kinds before them, as the clients
//! for Java and .NET want them.

use serde_json::{Map, Value};

/// Names the aggregations of an answer by their kinds. `body` is the search that was answered.
pub(crate) fn apply(body: &Value, answer: &mut Value) {
    if let (Some(aggs), Some(results)) = (below(body), answer.get_mut("aggregations")) {
        rename(aggs, results);
    }
}

fn below(body: &Value) -> Option<&Map<String, Value>> {
    body.get("aggs").or_else(|| body.get("aggregations"))?.as_object()
}

fn rename(aggs: &Map<String, Value>, results: &mut Value) {
    let Some(results) = results.as_object_mut() else { return };
    for (name, body) in aggs {
        let kind = body
            .as_object()
            .and_then(|body| body.keys().find(|key| !matches!(&***key, "aggs" | "aggregations")));
        let (Some(kind), Some(mut result)) = (kind, results.remove(name)) else { continue };
        let kind = typed(kind, &result);
        if let Some(aggs) = below(body) {
            match result.get_mut("buckets") {
                Some(Value::Array(list)) => {
                    list.iter_mut().for_each(|bucket| rename(aggs, bucket));
                }
                Some(Value::Object(named)) => {
                    named.values_mut().for_each(|bucket| rename(aggs, bucket));
                }
                _ => rename(aggs, &mut result),
            }
        }
        results.insert(format!("{kind}#{name}"), result);
    }
}

/// Elasticsearch's name of the kind of a result.
fn typed<'a>(kind: &'a str, result: &Value) -> &'a str {
    match kind {
        // By what the buckets are of; dates and booleans count as whole numbers there.
        "terms" => match result.pointer("/buckets/0") {
            Some(bucket) if bucket["key"].is_string() => "sterms",
            Some(bucket) if bucket.get("key_as_string").is_some() => "lterms",
            Some(_) => "dterms",
            None => "sterms",
        },
        "percentiles" => "tdigest_percentiles",
        kind => kind,
    }
}
