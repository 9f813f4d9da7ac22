//! CloudFormation templates in YAML, with the short forms of its functions.

use serde_json::{Map, Value as Json};
use serde_yaml_ng::Value as Yaml;

/// The JSON that a template in YAML means: `!Sub x` is `{"Fn::Sub": x}`.
pub(crate) fn to_json(text: &str) -> Result<Json, String> {
    check_depth(text)?;
    let yaml: Yaml = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    Ok(json(yaml))
}

/// Brackets in one another. No template has so many; the parser takes quadratic time before it says
/// that there are too many.
const MAX_DEPTH: usize = 1000;

fn check_depth(text: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} [ or {{ in one another"));
        }
    }
    Ok(())
}

fn json(yaml: Yaml) -> Json {
    match yaml {
        Yaml::Null => Json::Null,
        Yaml::Bool(truth) => Json::Bool(truth),
        Yaml::Number(number) => {
            let whole = number.as_i64().map(Json::from);
            whole.or_else(|| number.as_f64().map(Json::from)).unwrap_or(Json::Null)
        }
        Yaml::String(text) => Json::String(text),
        Yaml::Sequence(values) => Json::Array(values.into_iter().map(json).collect()),
        Yaml::Mapping(entries) => {
            let key = |key: Yaml| match json(key) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            Json::Object(
                entries.into_iter().map(|(name, value)| (key(name), json(value))).collect(),
            )
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!');
            let name = if name == "Ref" { name.to_owned() } else { format!("Fn::{name}") };
            Json::Object(Map::from_iter([(name, json(tagged.value))]))
        }
    }
}
