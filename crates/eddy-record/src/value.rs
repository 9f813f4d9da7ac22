//! One column's value.

use rust_decimal::Decimal;

/// A value of a column, after coercion to the column's [`SqlType`](crate::SqlType).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's NULL: absent, or null in the payload of a nullable column.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// TINYINT, SMALLINT, INTEGER or BIGINT; within the range of its type.
    Integer(i64),
    /// DOUBLE, FLOAT or REAL; always finite. A REAL or FLOAT holds what its width can.
    Double(f64),
    /// DECIMAL(p, s).
    Decimal(Decimal),
    /// VARCHAR(n), at most n characters.
    Text(Box<str>),
    /// TIMESTAMP, in milliseconds since the Unix epoch, UTC.
    TimestampMs(i64),
    /// A JSON text, written as it is into JSON and as text into CSV. Eddy's own columns only.
    Json(Box<str>),
}

impl Value {
    /// The value as a number, for a point of the forest: integers, doubles, decimals.
    ///
    /// `None` for everything else, NULL included.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "points are f32: the loss is inherent")]
            Self::Integer(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            Self::Decimal(number) => rust_decimal::prelude::ToPrimitive::to_f64(number),
            _ => None,
        }
    }

    /// The bytes of its text, where it is one.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.len(),
            _ => 0,
        }
    }
}
