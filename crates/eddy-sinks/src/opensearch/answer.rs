//! What a `_bulk` answer says of each document.

use std::collections::BTreeMap;

use eddy_stream::StreamError;
use serde::Deserialize;
use serde_json::Value;

use super::WriteAs;

/// Characters of a reason that are kept.
const MAX_REASON_CHARS: usize = 500;

/// What became of a request.
pub(super) enum Answer {
    /// One entry a document, in order.
    Items(Vec<Item>),
    /// The service takes no request of this size.
    TooLarge,
    /// The same request may succeed later.
    Later(String),
    /// It will not.
    Fatal(StreamError),
}

/// What became of a document.
pub(super) enum Item {
    /// It is stored.
    Stored,
    /// The same document may be taken later.
    Later(String),
    /// It will not be taken.
    Refused(String),
}

#[derive(Deserialize)]
struct Body {
    items: Vec<BTreeMap<String, Outcome>>,
}

#[derive(Deserialize)]
struct Outcome {
    status: u16,
    error: Option<Value>,
}

/// Reads an answer to `n_documents`.
pub(super) fn read(status: u16, body: &[u8], n_documents: usize, write_as: WriteAs) -> Answer {
    match status {
        200 | 201 => items(body, n_documents, write_as),
        413 => Answer::TooLarge,
        408 | 429 | 500..=599 => Answer::Later(format!("{status}: {}", reason_of(body))),
        401 | 403 if is_blocked(body) => Answer::Later(format!("{status}: {}", reason_of(body))),
        401 | 403 => Answer::Fatal(
            StreamError::fatal(
                "the search service denied the request: check auth and the user's permissions \
                 (indices:data/write/bulk, and creating indices where they rotate)",
            )
            .with_source(format!("{status}: {}", reason_of(body))),
        ),
        _ => Answer::Fatal(
            StreamError::fatal("the search service refused the request: check url and index")
                .with_source(format!("{status}: {}", reason_of(body))),
        ),
    }
}

fn items(body: &[u8], n_documents: usize, write_as: WriteAs) -> Answer {
    let body: Body = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return Answer::Later(format!("the answer is no bulk answer: {error}")),
    };
    if body.items.len() != n_documents {
        let n_items = body.items.len();
        return Answer::Later(format!("{n_items} answers to {n_documents} documents"));
    }
    let mut items = Vec::with_capacity(n_documents);
    for outcome in body.items.into_iter().map(|item| item.into_values().next()) {
        let Some(Outcome { status, error }) = outcome else {
            return Answer::Later("an answer says nothing of a document".to_owned());
        };
        let kind = error.as_ref().and_then(|error| error["type"].as_str()).unwrap_or_default();
        let reason = || format!("{status}: {}", error.as_ref().map(said).unwrap_or_default());
        items.push(match status {
            200..=299 => Item::Stored,
            409 if write_as == WriteAs::Create => Item::Stored,
            408 | 429 | 500..=599 => Item::Later(reason()),
            // A cluster out of disk refuses with 403 (Elasticsearch 7) or 429.
            _ if kind == "cluster_block_exception" => Item::Later(reason()),
            // Nothing is wrong with the row, and every other row would meet the same.
            401 | 403 | 404 => {
                return Answer::Fatal(
                    StreamError::fatal(
                        "the index does not exist and is not created on its own, or the user may \
                         not write to it: create it, or correct index and permissions",
                    )
                    .with_source(reason()),
                );
            }
            _ => Item::Refused(reason()),
        });
    }
    Answer::Items(items)
}

/// An error object in a line: its type, its reason and the cause below.
fn said(error: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut said = match error {
        Value::String(said) => said.clone(),
        error => format!("{}: {}", text(&error["type"]), text(&error["reason"])),
    };
    if let Some(cause) = error["caused_by"]["reason"].as_str() {
        said.push_str(&format!(" (caused by {cause})"));
    }
    said.chars().take(MAX_REASON_CHARS).collect()
}

/// What an answer says is wrong.
pub(super) fn reason_of(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) if answer["error"].is_object() => said(&answer["error"]),
        _ => String::from_utf8_lossy(body).chars().take(MAX_REASON_CHARS).collect(),
    }
}

fn is_blocked(body: &[u8]) -> bool {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    answer.is_some_and(|answer| answer["error"]["type"] == "cluster_block_exception")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(item: &str, write_as: WriteAs) -> Answer {
        let body = format!("{{\"took\":1,\"errors\":true,\"items\":[{{\"index\":{item}}}]}}");
        read(200, body.as_bytes(), 1, write_as)
    }

    fn verdict(answer: &Answer) -> &'static str {
        match answer {
            Answer::Items(items) => match &items[0] {
                Item::Stored => "stored",
                Item::Later(_) => "later",
                Item::Refused(_) => "refused",
            },
            Answer::TooLarge => "too large",
            Answer::Later(_) => "whole later",
            Answer::Fatal(_) => "fatal",
        }
    }

    #[test]
    fn each_status_of_a_document_has_its_verdict() {
        for (item, expected) in [
            (r#"{"_id":"a","status":201,"result":"created"}"#, "stored"),
            (r#"{"status":200,"result":"updated"}"#, "stored"),
            (r#"{"status":429,"error":{"type":"es_rejected_execution_exception"}}"#, "later"),
            (r#"{"status":503,"error":{"type":"unavailable_shards_exception"}}"#, "later"),
            (r#"{"status":403,"error":{"type":"cluster_block_exception"}}"#, "later"),
            (r#"{"status":400,"error":{"type":"mapper_parsing_exception"}}"#, "refused"),
            (r#"{"status":409,"error":{"type":"version_conflict_engine_exception"}}"#, "refused"),
            (r#"{"status":404,"error":{"type":"index_not_found_exception"}}"#, "fatal"),
            (r#"{"status":403,"error":{"type":"security_exception"}}"#, "fatal"),
        ] {
            assert_eq!(verdict(&one(item, WriteAs::Index)), expected, "{item}");
        }
        let there = r#"{"status":409,"error":{"type":"version_conflict_engine_exception"}}"#;
        assert_eq!(verdict(&one(there, WriteAs::Create)), "stored");
    }

    #[test]
    fn each_status_of_a_request_has_its_verdict() {
        for (status, body, expected) in [
            (413, "", "too large"),
            (429, "", "whole later"),
            (503, "<html>", "whole later"),
            (200, "<html>", "whole later"),
            (200, r#"{"items":[]}"#, "whole later"),
            (200, r#"{"items":[{}]}"#, "whole later"),
            (403, r#"{"error":{"type":"cluster_block_exception"}}"#, "whole later"),
            (403, r#"{"message":"no"}"#, "fatal"),
            (401, "", "fatal"),
            (400, r#"{"error":"bad"}"#, "fatal"),
            (302, "", "fatal"),
        ] {
            let answer = read(status, body.as_bytes(), 1, WriteAs::Index);
            assert_eq!(verdict(&answer), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_reason_names_type_reason_and_cause() {
        let item = r#"{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [iotValue]","caused_by":{"type":"x","reason":"For input string"}}}"#;
        let Answer::Items(items) = one(item, WriteAs::Index) else { panic!("items") };
        let Item::Refused(reason) = &items[0] else { panic!("refused") };
        let expected = "400: mapper_parsing_exception: failed to parse field [iotValue] (caused by For input string)";
        assert_eq!(reason, expected);
    }
}
