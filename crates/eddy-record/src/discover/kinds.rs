//! The kinds of values that a column was seen with, and the type that takes them all.

use crate::SqlType;
use crate::coerce::Found;
use crate::number::is_number;
use crate::parse_timestamp_ms;

/// The shortest VARCHAR proposed.
const MIN_VARCHAR_CHARS: u32 = 16;
/// The longest VARCHAR of Kinesis Data Analytics; longer text is cut.
const MAX_VARCHAR_CHARS: u32 = 65_535;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Integer,
    BigInt,
    Double,
    Timestamp,
    Text,
}

/// What a column's values were, NULLs apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    n_booleans: usize,
    n_integers: usize,
    n_big_ints: usize,
    n_doubles: usize,
    n_timestamps: usize,
    n_texts: usize,
    max_chars: u32,
}

impl Kinds {
    /// Counts a value of a JSON record.
    pub(super) fn see_json(&mut self, found: &Found<'_>) {
        match found {
            Found::Null => {}
            Found::Boolean(boolean) => {
                self.see(Kind::Boolean, if *boolean { "true" } else { "false" });
            }
            Found::Number(text) => self.see(number(text), text),
            Found::Text(text) if parse_timestamp_ms(text).is_some() => {
                self.see(Kind::Timestamp, text);
            }
            Found::Text(text) => self.see(Kind::Text, text),
            Found::Nested(text) => self.see(Kind::Text, text),
        }
    }

    /// Counts a field of a CSV row, where numbers and booleans are texts too.
    pub(super) fn see_csv(&mut self, text: &str) {
        let word = text.trim();
        let digits = word.trim_start_matches(['+', '-']);
        // 007 is a name: as a number it would not come back.
        let padded = digits.len() > 1
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.starts_with('0');
        let kind = if is_number(word) && !padded {
            number(word)
        } else if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") {
            Kind::Boolean
        } else if parse_timestamp_ms(word).is_some() {
            Kind::Timestamp
        } else {
            Kind::Text
        };
        self.see(kind, text);
    }

    fn see(&mut self, kind: Kind, text: &str) {
        *match kind {
            Kind::Boolean => &mut self.n_booleans,
            Kind::Integer => &mut self.n_integers,
            Kind::BigInt => &mut self.n_big_ints,
            Kind::Double => &mut self.n_doubles,
            Kind::Timestamp => &mut self.n_timestamps,
            Kind::Text => &mut self.n_texts,
        } += 1;
        let n_chars = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        self.max_chars = self.max_chars.max(n_chars);
    }

    /// Counts the values that others counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.n_booleans += other.n_booleans;
        self.n_integers += other.n_integers;
        self.n_big_ints += other.n_big_ints;
        self.n_doubles += other.n_doubles;
        self.n_timestamps += other.n_timestamps;
        self.n_texts += other.n_texts;
        self.max_chars = self.max_chars.max(other.max_chars);
    }

    /// How many values were not NULL.
    pub(super) fn n_values(&self) -> usize {
        self.n_booleans + self.n_numbers() + self.n_timestamps + self.n_texts
    }

    fn n_numbers(&self) -> usize {
        self.n_integers + self.n_big_ints + self.n_doubles
    }

    /// The type that takes all values.
    pub(super) fn sql_type(&self) -> SqlType {
        let n_values = self.n_values();
        if n_values == 0 {
            SqlType::Varchar { max_chars: MIN_VARCHAR_CHARS }
        } else if self.n_numbers() == n_values {
            match (self.n_big_ints, self.n_doubles) {
                (0, 0) => SqlType::Integer,
                (_, 0) => SqlType::BigInt,
                _ => SqlType::Double,
            }
        } else if self.n_booleans == n_values {
            SqlType::Boolean
        } else if self.n_timestamps == n_values {
            SqlType::Timestamp
        } else {
            let twice = self.max_chars.saturating_mul(2);
            SqlType::Varchar { max_chars: twice.clamp(MIN_VARCHAR_CHARS, MAX_VARCHAR_CHARS) }
        }
    }

    /// Says if the column of that name needs a look.
    pub(super) fn note(&self, name: &str) -> Option<String> {
        let n_values = self.n_values();
        if n_values == 0 {
            return Some(format!("column {name}: no value in any record, taken for text"));
        }
        let whole = [self.n_booleans, self.n_numbers(), self.n_timestamps, self.n_texts];
        if whole.contains(&n_values) {
            return None;
        }
        Some(format!(
            "column {name}: {} numbers, {} texts, {} times, {} booleans, taken for text",
            self.n_numbers(),
            self.n_texts,
            self.n_timestamps,
            self.n_booleans
        ))
    }
}

fn number(text: &str) -> Kind {
    if text.parse::<i32>().is_ok() {
        Kind::Integer
    } else if text.parse::<i64>().is_ok() {
        Kind::BigInt
    } else if text.parse::<f64>().is_ok_and(f64::is_finite) {
        Kind::Double
    } else {
        // No type holds it as a number.
        Kind::Text
    }
}
