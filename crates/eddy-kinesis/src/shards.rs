//! The open shards of a stream and the keys that belong to them.

use aws_sdk_kinesis::Client;
use eddy_aws::CallError;
use md5::{Digest as _, Md5};

use crate::source::named;

/// A shard that takes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenShard {
    pub(crate) id: String,
    // Both inclusive.
    pub(crate) hashes: (u128, u128),
}

/// The place of a partition key among the hash ranges of shards.
pub(crate) fn hash_of(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// Lists the open shards in the order of their hash ranges; `None` where these do not cover every
/// hash exactly once, as for a moment while a stream is resharded.
pub(crate) async fn open_shards(
    client: &Client,
    stream: &str,
) -> Result<Option<Vec<OpenShard>>, CallError> {
    let mut open = Vec::new();
    let mut next: Option<String> = None;
    loop {
        // A token stands for the stream: the two must not be sent together.
        let call = match next {
            Some(token) => client.list_shards().next_token(token),
            None => {
                let (name, arn) = named(stream);
                client.list_shards().set_stream_name(name).set_stream_arn(arn)
            }
        };
        let page = call.send().await.map_err(CallError::new)?;
        for shard in page.shards() {
            let numbers = shard.sequence_number_range();
            if numbers.and_then(|numbers| numbers.ending_sequence_number()).is_some() {
                continue;
            }
            let range = shard.hash_key_range();
            let hashes = range.and_then(|range| {
                Some((
                    range.starting_hash_key().parse().ok()?,
                    range.ending_hash_key().parse().ok()?,
                ))
            });
            let Some(hashes) = hashes else { return Ok(None) };
            open.push(OpenShard { id: shard.shard_id().to_owned(), hashes });
        }
        next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if next.is_none() {
            open.sort_by_key(|shard| shard.hashes);
            return Ok(covers_all(&open).then_some(open));
        }
    }
}

fn covers_all(sorted: &[OpenShard]) -> bool {
    let side_by_side =
        sorted.windows(2).all(|pair| pair[0].hashes.1.checked_add(1) == Some(pair[1].hashes.0));
    side_by_side
        && sorted.first().is_some_and(|first| first.hashes.0 == 0)
        && sorted.last().is_some_and(|last| last.hashes.1 == u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_shards_are_of_use_only_where_each_hash_has_one() {
        let shards = |ranges: &[(u128, u128)]| -> Vec<OpenShard> {
            ranges.iter().map(|hashes| OpenShard { id: String::new(), hashes: *hashes }).collect()
        };
        assert!(covers_all(&shards(&[(0, u128::MAX)])));
        assert!(covers_all(&shards(&[(0, 9), (10, u128::MAX)])));
        for bad in [
            &[][..],
            &[(0, 9)],
            &[(1, u128::MAX)],
            &[(0, 9), (11, u128::MAX)],
            &[(0, 9), (9, u128::MAX)],
        ] {
            assert!(!covers_all(&shards(bad)), "{bad:?}");
        }
    }

    #[test]
    fn a_key_s_place_is_its_md5_as_a_number() {
        // MD5("a") = 0cc175b9c0f1b6a831c399e269772661.
        assert_eq!(hash_of("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }
}
