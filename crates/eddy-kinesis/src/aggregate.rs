//! Records of the Kinesis Producer Library: several in one.
//!
//! An aggregate is four magic bytes, a protobuf message (1: table of partition keys, 2: table of
//! explicit hash keys, 3: records of {1: key index, 2: hash key index, 3: data, 4: tags}) and the
//! MD5 of the message. Anything else, a wrong MD5 included, is a plain record.

use std::collections::HashMap;

use bytes::Bytes;
use md5::{Digest as _, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const MD5_BYTES: usize = 16;
/// Bytes of an aggregate that we make, its key included, unless one record alone has more: the
/// producer library's default. The service takes a megabyte.
pub(crate) const MAX_AGGREGATE_BYTES: usize = 51_200;
/// What an aggregate of one key has at most beside its key and parts: magic, MD5, the key's field.
pub(crate) const PACK_OVERHEAD_BYTES: usize = 4 + MD5_BYTES + 4;
/// What a part has at most beside its data: the headers of its field, of its key's index and of its
/// data, with lengths below two megabytes.
pub(crate) const PART_OVERHEAD_BYTES: usize = 12;

/// A record inside an aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) partition_key: String,
    pub(crate) data: Bytes,
}

/// Takes an aggregate apart; `None` for a plain record.
pub(crate) fn disaggregate(data: &Bytes) -> Option<Vec<Part>> {
    let rest = data.strip_prefix(&MAGIC)?;
    let (message, md5) = rest.split_last_chunk::<MD5_BYTES>()?;
    if Md5::digest(message).as_slice() != md5 {
        return None;
    }
    let mut keys: Vec<String> = Vec::new();
    let mut records: Vec<(usize, Bytes)> = Vec::new();
    let mut fields = Fields { rest: message };
    while !fields.rest.is_empty() {
        match fields.next()? {
            (1, Field::Bytes(key)) => keys.push(std::str::from_utf8(key).ok()?.to_owned()),
            (3, Field::Bytes(record)) => records.push(read_record(record, data)?),
            _ => {}
        }
    }
    let parts = records
        .into_iter()
        .map(|(key, data)| Some(Part { partition_key: keys.get(key)?.clone(), data }));
    parts.collect()
}

/// Puts records, each a partition key and a payload, together.
pub(crate) fn encode<'a>(records: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut keys: HashMap<&str, usize> = HashMap::new();
    let (mut table, mut parts, mut part) = (Vec::new(), Vec::new(), Vec::new());
    for (key, data) in records {
        let n_keys = keys.len();
        let key_idx = *keys.entry(key).or_insert_with(|| {
            write_bytes(&mut table, 1, key.as_bytes());
            n_keys
        });
        part.clear();
        part.push(1 << 3);
        write_varint(&mut part, key_idx);
        write_bytes(&mut part, 3, data);
        write_bytes(&mut parts, 3, &part);
    }
    let mut aggregate = [&MAGIC[..], &table, &parts].concat();
    let md5 = Md5::digest(&aggregate[MAGIC.len()..]);
    aggregate.extend_from_slice(&md5);
    aggregate
}

/// A field of bytes, whose number is below 16.
fn write_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    write_varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn write_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0] & 0x7f);
}

fn read_record(record: &[u8], whole: &Bytes) -> Option<(usize, Bytes)> {
    let (mut key, mut data) = (None, Bytes::new());
    let mut fields = Fields { rest: record };
    while !fields.rest.is_empty() {
        match fields.next()? {
            (1, Field::Number(index)) => key = usize::try_from(index).ok(),
            (3, Field::Bytes(payload)) => data = whole.slice_ref(payload),
            _ => {}
        }
    }
    Some((key?, data))
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Skipped,
}

/// The fields of a protobuf message.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(|_| Field::Skipped)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Skipped)?,
            _ => return None,
        };
        Some((tag >> 3, field))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Three records made by the producer library: two of dev-1 around one of dev-2.
    pub(crate) const GOLDEN: &str = "f3899ac20a056465762d310a056465762d3212273137303134313138333436303436393233313733313638373330333731353838343130353732381a0b08001a077b2276223a317d1a0d080110001a077b2276223a327d1a0b08001a077b2276223a337d3ff033bb70aa693d112df8fbe8aa0039";

    pub(crate) fn golden() -> Bytes {
        let digit = |at: usize| u8::from_str_radix(&GOLDEN[at..at + 2], 16).expect("hex");
        (0..GOLDEN.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn an_aggregate_is_taken_apart() {
        let parts = disaggregate(&golden()).expect("an aggregate");
        let found: Vec<(&str, &[u8])> =
            parts.iter().map(|part| (part.partition_key.as_str(), part.data.as_ref())).collect();
        assert_eq!(
            found,
            [
                ("dev-1", br#"{"v":1}"#.as_slice()),
                ("dev-2", br#"{"v":2}"#),
                ("dev-1", br#"{"v":3}"#)
            ]
        );
    }

    #[test]
    fn what_is_damaged_is_a_plain_record() {
        let whole = golden();
        for at in 0..whole.len() {
            let mut changed = whole.to_vec();
            changed[at] ^= 1;
            assert_eq!(disaggregate(&changed.into()), None, "byte {at}");
            assert_eq!(disaggregate(&whole.slice(..at)), None, "length {at}");
        }
    }

    #[test]
    fn what_the_library_makes_of_these_records_is_made_here_too() {
        // But for the explicit hash key, which is not written here.
        let records =
            [("dev-1", br#"{"v":1}"#), ("dev-2", br#"{"v":2}"#), ("dev-1", br#"{"v":3}"#)];
        let ours = encode(records.iter().map(|(key, data)| (*key, data.as_slice())));
        let golden = golden();
        let without_hash_key =
            [&golden[4..18], &golden[59..72], &[0x1a, 0x0b, 8, 1][..], &golden[78..100]];
        assert_eq!(ours[..4], golden[..4]);
        assert_eq!(ours[4..ours.len() - 16], without_hash_key.concat());
        let parts = disaggregate(&ours.into()).expect("an aggregate");
        assert_eq!(parts, disaggregate(&golden).expect("an aggregate"));
    }

    proptest! {
        #[test]
        fn any_records_come_back_in_order_with_their_keys(
            records in prop::collection::vec(
                ("[a-z]{1,2}|\\PC{1,80}", prop::collection::vec(any::<u8>(), 0..300)), 0..60,
            ),
        ) {
            let encoded = encode(records.iter().map(|(key, data)| (key.as_str(), data.as_slice())));
            let parts = disaggregate(&encoded.into()).expect("an aggregate");
            let found: Vec<(String, Vec<u8>)> =
                parts.into_iter().map(|part| (part.partition_key, part.data.to_vec())).collect();
            prop_assert_eq!(found, records);
        }

        #[test]
        fn an_aggregate_of_one_key_is_no_larger_than_it_is_reckoned(
            key in "\\PC{1,256}",
            lengths in prop::collection::vec(0_usize..70_000, 1..8),
        ) {
            let payloads: Vec<Vec<u8>> = lengths.iter().map(|n| vec![b'x'; *n]).collect();
            let encoded = encode(payloads.iter().map(|data| (key.as_str(), data.as_slice())));
            let reckoned = PACK_OVERHEAD_BYTES
                + key.len()
                + lengths.iter().map(|n| PART_OVERHEAD_BYTES + n).sum::<usize>();
            prop_assert!(encoded.len() <= reckoned, "{} > {reckoned}", encoded.len());
        }

        #[test]
        fn any_message_with_a_fitting_md5_is_read_or_refused(message: Vec<u8>) {
            let md5 = Md5::digest(&message);
            let data = [&MAGIC[..], &message, md5.as_slice()].concat();
            let _ = disaggregate(&data.into());
        }
    }
}
