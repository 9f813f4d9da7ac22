//! A stream's shards and records.

use bytes::Bytes;
use md5::{Digest as _, Md5};

/// A record as it lies in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its shard.
    pub shard: String,
    /// Its sequence number.
    pub sequence: String,
    /// Its partition key.
    pub key: String,
    /// When it arrived.
    pub arrival_ms: i64,
    /// Its payload.
    pub data: Bytes,
}

pub(super) struct Shard {
    pub(super) id: String,
    pub(super) parents: Vec<String>,
    // Both inclusive.
    pub(super) hashes: (u128, u128),
    pub(super) first_sequence: String,
    /// Where the shard is closed.
    pub(super) last_sequence: Option<String>,
    pub(super) records: Vec<Stored>,
}

pub(super) struct Stream {
    pub(super) created_ms: i64,
    pub(super) shards: Vec<Shard>,
    n_sequences: u64,
}

impl Stream {
    pub(super) fn new(created_ms: i64, n_shards: usize) -> Self {
        let mut stream = Self { created_ms, shards: Vec::new(), n_sequences: 0 };
        let n = n_shards.max(1) as u128;
        let width = u128::MAX / n;
        for at in 0..n {
            let end = if at + 1 == n { u128::MAX } else { (at + 1) * width - 1 };
            stream.add_shard(Vec::new(), (at * width, end));
        }
        stream
    }

    fn add_shard(&mut self, parents: Vec<String>, hashes: (u128, u128)) {
        let id = format!("shardId-{:012}", self.shards.len());
        let first_sequence = self.next_sequence();
        let records = Vec::new();
        let last_sequence = None;
        self.shards.push(Shard { id, parents, hashes, first_sequence, last_sequence, records });
    }

    /// As long as the service's.
    fn next_sequence(&mut self) -> String {
        self.n_sequences += 1;
        format!("4966{:013}{:039}", self.created_ms, self.n_sequences)
    }

    pub(super) fn put(&mut self, now_ms: i64, key: &str, data: Bytes) -> (String, String) {
        let hash = u128::from_be_bytes(Md5::digest(key).into());
        self.put_at(now_ms, key, hash, data)
    }

    /// Puts a record into the shard of a hash key.
    pub(super) fn put_at(
        &mut self,
        now_ms: i64,
        key: &str,
        hash: u128,
        data: Bytes,
    ) -> (String, String) {
        let sequence = self.next_sequence();
        let shard = self
            .shards
            .iter_mut()
            .find(|shard| {
                shard.last_sequence.is_none() && (shard.hashes.0..=shard.hashes.1).contains(&hash)
            })
            .expect("open shards cover all hashes");
        let (key, shard_id) = (key.to_owned(), shard.id.clone());
        shard.records.push(Stored {
            shard: shard_id.clone(),
            sequence: sequence.clone(),
            key,
            arrival_ms: now_ms,
            data,
        });
        (shard_id, sequence)
    }

    /// The place of an open shard.
    fn open(&self, id: &str) -> Result<usize, String> {
        self.shards
            .iter()
            .position(|shard| shard.id == id && shard.last_sequence.is_none())
            .ok_or_else(|| format!("there is no open shard {id}"))
    }

    /// Splits a shard in its middle, or so that the second child starts at a hash key.
    pub(super) fn split(&mut self, id: &str, second_from: Option<u128>) -> Result<(), String> {
        let at = self.open(id)?;
        let (first, last) = self.shards[at].hashes;
        let from = second_from.unwrap_or(first + (last - first) / 2 + 1);
        if from <= first || from > last {
            return Err("the new starting hash key is not inside the shard".to_owned());
        }
        self.shards[at].last_sequence = Some(self.next_sequence());
        let parents = vec![id.to_owned()];
        self.add_shard(parents.clone(), (first, from - 1));
        self.add_shard(parents, (from, last));
        Ok(())
    }

    pub(super) fn merge(&mut self, id: &str, adjacent: &str) -> Result<(), String> {
        let (a, b) = (self.open(id)?, self.open(adjacent)?);
        let (mut low, mut high) = (self.shards[a].hashes, self.shards[b].hashes);
        if low.0 > high.0 {
            (low, high) = (high, low);
        }
        if a == b || low.1.checked_add(1) != Some(high.0) {
            return Err("the shards do not lie side by side".to_owned());
        }
        self.shards[a].last_sequence = Some(self.next_sequence());
        self.shards[b].last_sequence = Some(self.next_sequence());
        self.add_shard(vec![id.to_owned(), adjacent.to_owned()], (low.0, high.1));
        Ok(())
    }

    pub(super) fn open_shards(&self) -> Vec<String> {
        let mut open: Vec<&Shard> =
            self.shards.iter().filter(|shard| shard.last_sequence.is_none()).collect();
        open.sort_by_key(|shard| shard.hashes);
        open.into_iter().map(|shard| shard.id.clone()).collect()
    }

    pub(super) fn records(&self) -> Vec<Stored> {
        self.shards.iter().flat_map(|shard| shard.records.iter().cloned()).collect()
    }
}
