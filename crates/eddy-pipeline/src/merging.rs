//! A worker whose partition is all shards of the stream.

use std::time::Duration;

use eddy_record::PartitionId;
use eddy_stream::StreamError;
use tokio::time::Instant;

use crate::checkpoint::Merged;
use crate::engine::Made;
use crate::input::Timed;
use crate::merge::Merge;
use crate::prefetch::PREFETCH_BATCHES;
use crate::shards::{Read, Shards};
use crate::worker::{Inflow, Worker};

/// The name of the partition that all shards make.
pub(crate) const MERGED: &str = "merged";
/// How often it is looked which shard the others wait for, at least.
pub(crate) const HOLDER_INTERVAL: Duration = Duration::from_secs(1);
/// A shard that holds the others for so long is named in the log, and again each time that has
/// doubled.
const HELD_LONG: Duration = Duration::from_secs(10);
/// Time is not passed on again sooner where it let nothing go: what waits does so behind a sort.
const NOTHING_DUE_MS: i64 = 1000;

/// All shards, side by side and in one order.
pub(crate) struct Merging {
    shards: Shards,
    merge: Merge,
    // No watermark before it is worth while.
    not_due_before_ms: i64,
    holder: Option<Holder>,
    // Whether a stop when all is settled was noticed.
    draining: bool,
}

/// A shard that the others wait for.
struct Holder {
    shard: PartitionId,
    since: Instant,
    warn_after: Duration,
}

impl Merging {
    /// Opens all shards that can be read where they were.
    pub(crate) async fn open(mut shards: Shards, merged: &mut Merged) -> Result<Self, StreamError> {
        let mut merge = Merge::resume(merged.now_ms, merged.watermarks.clone());
        shards.open(merged, &mut merge).await?;
        let not_due_before_ms = i64::MIN;
        Ok(Self { shards, merge, not_due_before_ms, holder: None, draining: false })
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Read>, StreamError> {
        self.shards.next(&self.merge).await
    }

    /// Whether everything that the shards held when this was first asked is settled.
    pub(crate) fn is_drained(&mut self) -> bool {
        if !std::mem::replace(&mut self.draining, true) {
            // Batches read ahead may be older than the question.
            self.shards.look_again();
            return false;
        }
        self.merge.is_empty() && self.shards.are_quiet(PREFETCH_BATCHES + 1)
    }
}

impl Worker {
    /// Takes what was read of a shard, and has everything processed that may leave now. Nothing is
    /// left to process when it returns.
    pub(crate) async fn take_merged(
        &mut self,
        (shard, batch): Read,
    ) -> Result<Vec<Timed>, StreamError> {
        if let Some(merging) = self.merging() {
            match batch {
                Some(batch) => merging.merge.push(&shard, batch),
                None => merging.merge.end(&shard),
            }
        }
        while let Some(merging) = self.merging() {
            let released = merging.merge.release();
            if !released.records.is_empty() {
                self.process(released.records).await?;
            }
            if let Some(watermark_ms) = released.watermark_ms {
                self.pass(watermark_ms).await?;
                continue;
            }
            if self.retire().await? {
                continue;
            }
            if !self.note_passed().await? {
                break;
            }
        }
        self.note_holder();
        Ok(Vec::new())
    }

    fn merging(&mut self) -> Option<&mut Merging> {
        match &mut self.inflow {
            Inflow::Merged(merging) => Some(merging),
            Inflow::Single { .. } => None,
        }
    }

    /// Tells the engine how far the time is.
    async fn pass(&mut self, watermark_ms: i64) -> Result<(), StreamError> {
        let mut made = Made::default();
        self.engine.pass(watermark_ms, &mut made)?;
        let let_go = self.drain(&mut made).await? || made.len() > 0;
        self.hand_over(made).await?;
        if let Some(merging) = self.merging() {
            let pause_ms = if let_go { 0 } else { NOTHING_DUE_MS };
            merging.not_due_before_ms = watermark_ms.saturating_add(pause_ms);
        }
        if let Some(merged) = &mut self.checkpoint.merged {
            merged.settle_watermark(watermark_ms);
        }
        // The engine has changed, and so the next commit is worth while.
        self.uncommitted += 1;
        Ok(())
    }

    /// Children take the places of shards that are settled to their ends. Says whether there were
    /// such.
    async fn retire(&mut self) -> Result<bool, StreamError> {
        let (Inflow::Merged(merging), Some(merged)) =
            (&mut self.inflow, &mut self.checkpoint.merged)
        else {
            return Ok(false);
        };
        let drained = merging.merge.drained();
        if drained.is_empty() {
            return Ok(false);
        }
        merging.shards.retire(drained, merged, &mut merging.merge).await?;
        Ok(true)
    }

    /// Makes durable what shards that are caught up say of their time, where that lets something go.
    /// Says whether it does.
    async fn note_passed(&mut self) -> Result<bool, StreamError> {
        let due_ms = self.engine.due_ms();
        let Some(merging) = self.merging() else { return Ok(false) };
        let due_ms = due_ms.map(|due_ms| due_ms.max(merging.not_due_before_ms));
        let Some(passed) = merging.merge.wants(due_ms) else { return Ok(false) };
        let change = self.journal.append(&passed);
        self.state.commit(vec![change]).await?;
        self.counters.update(|totals| totals.watermarks += 1);
        if let Some(merged) = &mut self.checkpoint.merged {
            merged.pass(&passed);
        }
        if let Some(merging) = self.merging() {
            merging.merge.pass(&passed);
        }
        Ok(true)
    }

    /// Names the shard that the others wait for, where it is silent without being caught up.
    pub(crate) fn note_holder(&mut self) {
        let Inflow::Merged(merging) = &mut self.inflow else { return };
        let found = merging.merge.holder();
        if let Some(holder) = merging.holder.take_if(|it| Some(&it.shard) != found) {
            self.counters.update_partition(&holder.shard, |status| status.holds_merge_ms = None);
        }
        let Some(shard) = found else { return };
        let holder = merging.holder.get_or_insert_with(|| Holder {
            shard: shard.clone(),
            since: Instant::now(),
            warn_after: HELD_LONG,
        });
        let held_for = holder.since.elapsed();
        let held_ms = u64::try_from(held_for.as_millis()).unwrap_or(u64::MAX);
        self.counters.update_partition(shard, |status| status.holds_merge_ms = Some(held_ms));
        if held_for >= holder.warn_after {
            holder.warn_after = held_for * 2;
            tracing::warn!(
                shard = %shard, ?held_for,
                "records of the other shards wait for this one, which neither has a later record \
                 nor says that it is caught up",
            );
        }
    }
}
