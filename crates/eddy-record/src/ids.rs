//! Identities: of a stream, a partition, a record's place in it, and a document made from it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Which stream a position belongs to: its name and the moment it was created.
///
/// Two streams of one name are different streams when one was deleted and the other created anew;
/// positions of the first mean nothing in the second.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StreamIdentity {
    /// The stream's name, a file's path, or `stdin`.
    pub name: String,
    /// When the stream was created, in milliseconds since the Unix epoch; 0 where there is no such
    /// moment.
    pub created_ms: i64,
}

impl fmt::Display for StreamIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.created_ms)
    }
}

/// One partition of a stream: a shard's id, a file's path, `stdin`.
///
/// A partition is the unit of order and of parallelism. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PartitionId(Arc<str>);

impl PartitionId {
    /// Names a partition.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The partition's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for PartitionId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl From<PartitionId> for String {
    fn from(id: PartitionId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record's sequence number: a decimal number of any length, ordered as a number and given back as
/// it came, leading zeros included. A server may want exactly its own text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
// The text has at least one digit, and digits only.
pub struct SequenceNumber(Box<str>);

/// The text is not a decimal number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sequence number has decimal digits only, found {found:?}")]
pub struct SequenceNumberError {
    /// The text as it came.
    pub found: String,
}

impl SequenceNumber {
    /// The number in decimal, as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Numeric order is the order of (length, text) without leading zeros.
    fn ordered(&self) -> (usize, &str) {
        let digits = self.0.trim_start_matches('0');
        (digits.len(), digits)
    }
}

impl FromStr for SequenceNumber {
    type Err = SequenceNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SequenceNumberError { found: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for SequenceNumber {
    type Error = SequenceNumberError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SequenceNumber> for String {
    fn from(number: SequenceNumber) -> Self {
        number.0.into()
    }
}

impl From<u64> for SequenceNumber {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ordered().cmp(&other.ordered())
    }
}

impl PartialEq for SequenceNumber {
    fn eq(&self, other: &Self) -> bool {
        self.ordered() == other.ordered()
    }
}

impl Eq for SequenceNumber {}

impl Hash for SequenceNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ordered().hash(state);
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a record stands in its partition.
///
/// `sub_sequence` counts the records inside one aggregate (0 for a plain record), so that a reader
/// can resume in the middle of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The sequence number of the record as the stream stored it.
    pub sequence: SequenceNumber,
    /// The place inside an aggregate, from 0.
    pub sub_sequence: u64,
}

impl Position {
    /// The position of a plain record.
    pub fn new(sequence: SequenceNumber) -> Self {
        Self { sequence, sub_sequence: 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.sub_sequence)
    }
}

/// The id under which a scored record is stored, the same on every replay.
///
/// At most [`DocumentId::MAX_BYTES`] long, as Elasticsearch and OpenSearch require.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId(Box<str>);

impl DocumentId {
    /// The longest id that Elasticsearch and OpenSearch accept, in bytes.
    pub const MAX_BYTES: usize = 512;

    /// Makes the id of the row numbered `output_idx` among the rows made of the record at
    /// `position`. A payload that holds several records numbers them on, so `output_idx` also tells
    /// these apart.
    pub fn new(
        stream: &StreamIdentity,
        partition: &PartitionId,
        position: &Position,
        output_idx: u32,
    ) -> Self {
        let id = format!("{stream}:{partition}:{position}:{output_idx}");
        if id.len() <= Self::MAX_BYTES {
            return Self(id.into());
        }
        // Only a file's path can be that long: two hashes of the whole keep such ids apart.
        let tail = format!("{position}:{output_idx}");
        let head = format!("{stream}:{partition}");
        let id = format!(
            "{:016x}{:016x}:{tail}",
            fnv1a(head.as_bytes(), 0xcbf2_9ce4_8422_2325),
            fnv1a(head.as_bytes(), 0x6c62_272e_07bb_0142)
        );
        Self(id.into())
    }

    /// The id of a row that is not made of one record alone: a text that is the same at every
    /// replay. Of one that is too long its end and two hashes of the whole are kept.
    pub fn of_text(text: String) -> Self {
        if text.len() <= Self::MAX_BYTES {
            return Self(text.into());
        }
        let mut from = text.len() - (Self::MAX_BYTES - 33);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let id = format!(
            "{:016x}{:016x}:{}",
            fnv1a(text.as_bytes(), 0xcbf2_9ce4_8422_2325),
            fnv1a(text.as_bytes(), 0x6c62_272e_07bb_0142),
            &text[from..]
        );
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fnv1a(bytes: &[u8], start: u64) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> SequenceNumber {
        text.parse().expect("digits")
    }

    #[test]
    fn sequence_numbers_order_as_numbers_not_as_text() {
        assert!(number("9") < number("10"));
        assert!(number("49590338271490256608559692538361571095921575989136588898") > number("5"));
        assert_eq!(number("007"), number("7"));
        assert_eq!(number("000"), number("0"));
        assert!(number("0009") < number("10"));
        assert_eq!(number("0009").as_str(), "0009");
    }

    #[test]
    fn sequence_numbers_are_digits() {
        for bad in ["", "-1", "1e3", " 1", "٣"] {
            assert!(bad.parse::<SequenceNumber>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn positions_inside_an_aggregate_order_within_their_sequence_number() {
        let at = |sequence: u64, sub_sequence| Position { sequence: sequence.into(), sub_sequence };
        assert!(at(1, 5) < at(2, 0));
        assert!(at(2, 0) < at(2, 1));
    }

    #[test]
    fn an_id_of_any_text_stays_within_the_limit_and_differs_by_every_part() {
        let short = DocumentId::of_text("s:1:app:OUT:W:5:0".to_owned());
        assert_eq!(short.as_str(), "s:1:app:OUT:W:5:0");
        let long = |head: &str| DocumentId::of_text(format!("{head}{}", "ü".repeat(600)));
        assert!(long("a").as_str().len() <= DocumentId::MAX_BYTES);
        assert_ne!(long("a"), long("b"));
    }

    #[test]
    fn ids_differ_by_every_part_and_stay_within_the_limit() {
        let stream = StreamIdentity { name: "s".repeat(600), created_ms: 1 };
        let anew = StreamIdentity { created_ms: 2, ..stream.clone() };
        let shard = PartitionId::new("shardId-000000000000");
        let position = Position::new(7_u64.into());
        let id = DocumentId::new(&stream, &shard, &position, 0);
        assert!(id.as_str().len() <= DocumentId::MAX_BYTES);
        assert_ne!(id, DocumentId::new(&anew, &shard, &position, 0));
        assert_ne!(id, DocumentId::new(&stream, &shard, &position, 1));
        assert_ne!(id, DocumentId::new(&stream, &shard, &Position::new(8_u64.into()), 0));
    }
}
