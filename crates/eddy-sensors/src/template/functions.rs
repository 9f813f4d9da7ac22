//! The functions by their names, and those with arguments.

use serde_json::Value;

use super::dates::{Pattern, js_date};
use super::people::{self, digits, symbols};
use super::words;
use super::{Call, Scope};
use crate::check::check_weights;
use crate::draw::{Random, running_sums};
use crate::record::calendar;

const DAY_MS: u64 = 86_400_000;
const YEAR_MS: u64 = 365 * DAY_MS;

/// The function of that name with these arguments.
pub(super) fn compile(name: &str, arguments: &[Value]) -> Result<Call, String> {
    let takes = |what: &str| format!("{name} takes {what}");
    let first = arguments.first();
    let number = |idx: usize, default: f64| match arguments.get(idx) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_f64().ok_or_else(|| takes("numbers")),
    };
    let count = |default: u64| match first {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_u64()
            .filter(|count| *count <= MAX_COUNT)
            .ok_or_else(|| takes(&format!("a whole number up to {MAX_COUNT}"))),
    };
    let list = || match first {
        Some(Value::Array(values)) if !values.is_empty() => {
            Ok(values.iter().map(text_of).collect::<Vec<_>>())
        }
        None => Ok(["a", "b", "c"].map(str::to_owned).to_vec()),
        _ => Err(takes("a list with something in it, such as [\"a\",\"b\"]")),
    };
    let text = |default: &str| match first {
        None => Ok(default.to_owned()),
        Some(value) => Ok::<_, String>(text_of(value)),
    };
    Ok(match name {
        "random.number" => random_number(name, first)?,
        "random.normal" => random_normal(name, first)?,
        "random.arrayElement" | "helpers.randomize" => {
            let values = list()?;
            call(move |random| values[random.index(values.len())].clone())
        }
        "helpers.shuffle" => {
            let values = list()?;
            call(move |random| {
                let mut values = values.clone();
                for idx in (1..values.len()).rev() {
                    values.swap(idx, random.index(idx + 1));
                }
                values.join(",")
            })
        }
        "random.objectElement" => {
            let of_keys = arguments.get(1).and_then(Value::as_str) == Some("key");
            let values: Vec<String> = match first {
                Some(Value::Object(map)) if !map.is_empty() && of_keys => {
                    map.keys().cloned().collect()
                }
                Some(Value::Object(map)) if !map.is_empty() => map.values().map(text_of).collect(),
                None => vec!["bar".to_owned(), "car".to_owned()],
                _ => return Err(takes("an object such as {\"a\":1}")),
            };
            call(move |random| values[random.index(values.len())].clone())
        }
        "random.weightedArrayElement" => weighted(name, first)?,
        "random.alphaNumeric" => {
            let n_chars = count(1)?;
            call(move |random| people::from_chars(random, n_chars, people::ALPHANUMERIC))
        }
        "random.words" => {
            let n_words = count(0)?;
            call(move |random| {
                let n_words = if n_words == 0 { random.within(1, 3) } else { n_words };
                joined(n_words, " ", || words::pick(random, words::NOUNS).to_owned())
            })
        }
        "date.now" | "current.timestamp" | "date.simTime" | "date.utc" => {
            // Both are in UTC; they differ in how they say so.
            let default =
                if name == "date.utc" { "YYYY-MM-DDTHH:mm:ss[Z]" } else { "YYYY-MM-DDTHH:mm:ssZ" };
            let pattern = Pattern::new(&text(default)?);
            Box::new(move |scope: &mut Scope<'_>, out: &mut Vec<u8>| {
                pattern.write(&calendar(scope.facts.time_ms), out);
            })
        }
        "date.past" | "date.recent" | "date.future" => {
            let unit = if name == "date.recent" { DAY_MS } else { YEAR_MS };
            let most = count(1)?.max(1).saturating_mul(unit);
            let sign = if name == "date.future" { 1 } else { -1 };
            Box::new(move |scope: &mut Scope<'_>, out: &mut Vec<u8>| {
                let distance = scope.random.within(1000, most).cast_signed();
                let time_ms = scope.facts.time_ms.saturating_add(sign * distance);
                js_date(&calendar(time_ms), out);
            })
        }
        "date.between" => {
            let time = |idx: usize| {
                let text = arguments.get(idx).and_then(Value::as_str).unwrap_or_default();
                time_ms(text).ok_or_else(|| takes("two times such as \"2026-01-05\""))
            };
            let (from, to) = (time(0)?, time(1)?);
            let span = to.saturating_sub(from).max(0).cast_unsigned();
            Box::new(move |scope: &mut Scope<'_>, out: &mut Vec<u8>| {
                js_date(&calendar(from + scope.random.within(0, span).cast_signed()), out);
            })
        }
        "date.month" | "date.weekday" => {
            let names = if name == "date.month" { words::MONTHS } else { words::WEEKDAYS };
            let short = first.is_some_and(|options| options["abbr"] == true);
            call(move |random| {
                let name = words::pick(random, names);
                if short { name[..3].to_owned() } else { name.to_owned() }
            })
        }
        "finance.amount" | "commerce.price" => {
            let (min, max, decimals) = (number(0, 0.0)?, number(1, 1000.0)?, number(2, 2.0)?);
            let symbol = arguments.get(3).map(text_of).unwrap_or_default();
            if !(0.0..=9.0).contains(&decimals) || min > max {
                return Err(takes("min, max (not below min), decimals (0 to 9) and a symbol"));
            }
            // Both draw whole amounts.
            let draw = whole_number(min, max);
            #[expect(clippy::cast_possible_truncation, reason = "0 to 9")]
            #[expect(clippy::cast_sign_loss, reason = "0 to 9")]
            let decimals = decimals as usize;
            call(move |random| format!("{symbol}{:.decimals$}", draw(random)))
        }
        "finance.account" => {
            let n_digits = count(8)?;
            call(move |random| joined(n_digits, "", || random.below(10).to_string()))
        }
        "finance.mask" => {
            let n_digits = match count(4)? {
                0 => 4,
                n_digits => n_digits,
            };
            call(move |random| joined(n_digits, "", || random.below(10).to_string()))
        }
        "internet.password" => {
            let n_chars = count(15)?;
            call(move |random| people::from_chars(random, n_chars, people::PASSWORD))
        }
        "lorem.words" => {
            let n_words = count(3)?;
            call(move |random| {
                joined(n_words, " ", || words::pick(random, words::LOREM).to_owned())
            })
        }
        "lorem.sentence" => {
            let n_words = count(0)?;
            call(move |random| people::sentence(random, n_words))
        }
        "lorem.sentences" | "lorem.paragraph" => {
            let n_sentences = count(3)?;
            call(move |random| joined(n_sentences, " ", || people::sentence(random, 0)))
        }
        "lorem.paragraphs" | "lorem.text" | "lorem.lines" => {
            let n_paragraphs = count(3)?;
            // A record is one line.
            call(move |random| joined(3 * n_paragraphs, " ", || people::sentence(random, 0)))
        }
        "helpers.slugify" => {
            let slug: String = text("")?
                .chars()
                .map(|c| if c == ' ' { '-' } else { c })
                .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
                .collect();
            call(move |_| slug.clone())
        }
        "helpers.replaceSymbolWithNumber" => {
            let pattern = text("")?;
            call(move |random| digits(random, &pattern))
        }
        "helpers.replaceSymbols" => {
            let pattern = text("")?;
            call(move |random| symbols(random, &pattern))
        }
        "phone.phoneNumber" => {
            let pattern = first.map(text_of);
            call(move |random| match &pattern {
                Some(pattern) => digits(random, pattern),
                None => people::phone(random),
            })
        }
        "address.zipCode" => {
            let pattern = first.map(text_of);
            call(move |random| match &pattern {
                Some(pattern) => symbols(random, pattern),
                None => digits(random, "#####"),
            })
        }
        "record.number" => Box::new(|scope: &mut Scope<'_>, out: &mut Vec<u8>| {
            out.extend_from_slice(scope.facts.n_record.to_string().as_bytes());
        }),
        _ => {
            let plain =
                people::plain(name).ok_or_else(|| format!("there is no function {name}"))?;
            // A gender or a size makes no difference here.
            let indifferent = name.starts_with("name.") || name.starts_with("image.");
            if !arguments.is_empty() && !indifferent {
                return Err(takes("no arguments here"));
            }
            call(plain)
        }
    })
}

/// The most words, characters or years that a function is asked for.
const MAX_COUNT: u64 = 1000;

/// A function of the random numbers alone.
fn call(function: impl Fn(&mut Random) -> String + Send + Sync + 'static) -> Call {
    Box::new(move |scope, out| out.extend_from_slice(function(scope.random).as_bytes()))
}

fn joined(n: u64, between: &str, mut one: impl FnMut() -> String) -> String {
    (0..n).map(|_| one()).collect::<Vec<_>>().join(between)
}

/// A value as a template shows it: texts without quotes.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn time_ms(text: &str) -> Option<i64> {
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d");
    let day = day.ok().and_then(|day| Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis()));
    day.or_else(|| Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()))
}

/// `random.number`: up to a number, or by `min`, `max` and `precision`; all ends are drawn too.
fn random_number(name: &str, first: Option<&Value>) -> Result<Call, String> {
    let refused = || {
        format!(
            "{name} takes a number or {{\"min\":..,\"max\":..,\"precision\":..}}, max not below min"
        )
    };
    let number = |value: Option<&Value>, default: f64| match value {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_f64().ok_or_else(refused),
    };
    let (min, max, precision) = match first {
        None => (0.0, 99_999.0, 1.0),
        Some(Value::Object(options)) => (
            number(options.get("min"), 0.0)?,
            number(options.get("max"), 99_999.0)?,
            number(options.get("precision"), 1.0)?,
        ),
        Some(value) => (0.0, number(Some(value), 0.0)?, 1.0),
    };
    if !(precision > 0.0 && min <= max) || (max - min) / precision > 9e15 {
        return Err(refused());
    }
    if precision == 1.0 {
        let draw = whole_number(min, max);
        return Ok(call(move |random| draw(random).to_string()));
    }
    let decimals = decimals_of(precision).max(decimals_of(min));
    // As 0.3 / 0.1 is a little less than 3.
    #[expect(clippy::cast_possible_truncation, reason = "at most 9e15")]
    #[expect(clippy::cast_sign_loss, reason = "max is not below min")]
    let n_steps = ((max - min) / precision + 1e-9) as u64;
    Ok(call(move |random| {
        #[expect(clippy::cast_precision_loss, reason = "at most 9e15")]
        let value = min + random.within(0, n_steps) as f64 * precision;
        let text = format!("{value:.decimals$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    }))
}

/// Whole numbers of a range with both ends.
fn whole_number(min: f64, max: f64) -> impl Fn(&mut Random) -> f64 + Send + Sync {
    let (min, max) = (min.ceil(), max.floor().max(min.ceil()));
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    #[expect(clippy::cast_sign_loss, reason = "max is not below min")]
    let n_more = (max - min) as u64;
    #[expect(clippy::cast_precision_loss, reason = "the bounds came as doubles")]
    move |random| min + random.within(0, n_more) as f64
}

fn decimals_of(number: f64) -> usize {
    let text = number.to_string();
    text.split_once('.').map_or(0, |(_, digits)| digits.len()).min(9)
}

/// `random.normal({"mean":0,"stdDev":1,"decimals":2})`, which is ours.
fn random_normal(name: &str, first: Option<&Value>) -> Result<Call, String> {
    let refused = || format!("{name} takes {{\"mean\":0,\"stdDev\":1,\"decimals\":2}}");
    let empty = serde_json::Map::new();
    let options = match first {
        None => &empty,
        Some(Value::Object(options)) => options,
        Some(_) => return Err(refused()),
    };
    let number = |key: &str, default: f64| match options.get(key) {
        None => Ok(default),
        Some(value) => value.as_f64().ok_or_else(refused),
    };
    let (mean, std_dev, decimals) =
        (number("mean", 0.0)?, number("stdDev", 1.0)?, number("decimals", 2.0)?);
    if std_dev < 0.0 || !(0.0..=9.0).contains(&decimals) {
        return Err(refused());
    }
    #[expect(clippy::cast_possible_truncation, reason = "0 to 9")]
    #[expect(clippy::cast_sign_loss, reason = "0 to 9")]
    let decimals = decimals as usize;
    Ok(call(move |random| format!("{:.decimals$}", mean + std_dev * random.normal())))
}

/// `random.weightedArrayElement({"weights":[0.2,0.8],"data":["a","b"]})`.
fn weighted(name: &str, first: Option<&Value>) -> Result<Call, String> {
    let refused = |problem: &str| {
        format!("{name} takes {{\"weights\":[0.2,0.8],\"data\":[\"a\",\"b\"]}}: {problem}")
    };
    let part = |key: &str| {
        let list = first.and_then(|options| options[key].as_array());
        list.filter(|list| !list.is_empty()).ok_or_else(|| refused(&format!("{key} is no list")))
    };
    let data: Vec<String> = part("data")?.iter().map(text_of).collect();
    let weights: Option<Vec<f64>> = part("weights")?.iter().map(Value::as_f64).collect();
    let weights = weights.ok_or_else(|| refused("a weight is no number"))?;
    check_weights(data.len(), &weights).map_err(|problem| refused(&problem))?;
    let sums = running_sums(&weights);
    Ok(call(move |random| data[random.weighted(&sums)].clone()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::Template;

    fn samples(text: &str) -> BTreeSet<String> {
        let template = Template::parse(text).expect("a template");
        (0..2000).map(|seed| template.sample(seed)).collect()
    }

    #[test]
    fn numbers_have_both_ends_and_their_precision() {
        let seen = samples("{{random.number({\"min\":10,\"max\":13})}}");
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["10", "11", "12", "13"]);
        let seen = samples("{{random.number(2)}}");
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["0", "1", "2"]);
        let seen = samples("{{random.number({\"min\":0,\"max\":0.3,\"precision\":0.1})}}");
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["0", "0.1", "0.2", "0.3"]);
        let seen = samples("{{random.number({\"min\":-20,\"max\":20,\"precision\":10})}}");
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["-10", "-20", "0", "10", "20"]);
    }

    #[test]
    fn elements_are_drawn_as_they_stand() {
        let seen = samples("{{random.arrayElement([\"OK\",7,null])}}");
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["7", "OK", "null"]);
        let with = "{{random.weightedArrayElement({\"weights\":[0.5,0.5,0],\"data\":[\"\\\"a\\\"\",2,3]})}}";
        assert_eq!(samples(with).into_iter().collect::<Vec<_>>(), ["\"a\"", "2"]);
        let error = "{{random.weightedArrayElement({\"weights\":[1],\"data\":[1,2]})}}";
        let error = Template::parse(error).expect_err("refused").to_string();
        assert!(error.contains("2 values need as many weights, found 1"), "{error}");
    }

    #[test]
    fn amounts_and_dates_have_their_form() {
        let text =
            Template::parse("{{finance.amount(5,5,3,\"$\")}} {{date.recent}}").expect("good");
        let sample = text.sample(3);
        assert!(sample.starts_with("$5.000 "), "{sample}");
        assert!(
            sample.contains(" 2025 ") && sample.ends_with("GMT+0000 (Coordinated Universal Time)")
        );
        let between =
            Template::parse("{{date.between(\"2020-01-01\",\"2020-01-02\")}}").expect("good");
        assert!(between.sample(1).contains("Jan 01 2020"), "{}", between.sample(1));
    }
}
