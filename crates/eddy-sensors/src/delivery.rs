//! Records that come late, twice or in another order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::draw::{Purpose, Random, Threshold};
use crate::record::{Delivered, SceneRecord};
use crate::scene::{Delivery, Span};

/// Records that are held back until a time at most, and so many that are overtaken; beyond them the
/// one that is due first goes early.
const MAX_HELD: usize = 100_000;

/// What becomes of records between the sensor and the stream.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    random: Random,
    late: (Threshold, Span),
    duplicate: (Threshold, Span),
    out_of_order: (Threshold, Span),
    is_idle: bool,
    // Held until a time.
    held: BinaryHeap<Reverse<Waiting>>,
    // Held until so many records have gone by.
    overtaken: BinaryHeap<Reverse<Waiting>>,
    // How many went in their turn.
    n_in_turn: i64,
    // The next one in its turn.
    next: Option<SceneRecord>,
    n_held: u64,
    last_due_us: i64,
}

#[derive(Clone, Debug)]
struct Waiting {
    // The time in microseconds, or how many must have gone in their turn.
    due: i64,
    order: u64,
    record: SceneRecord,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.order) == (other.due, other.order)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl Post {
    pub(crate) fn new(delivery: &Delivery, seed: u64) -> Self {
        let never = (Threshold::NEVER, Span::One(0.0));
        let held = |held: Option<crate::scene::Held>| {
            held.map_or(never, |held| (Threshold::new(held.probability), held.by_s))
        };
        let overtaken = delivery.out_of_order;
        Self {
            random: Random::new(seed, Purpose::Delivery),
            late: held(delivery.late),
            duplicate: held(delivery.duplicate),
            out_of_order: overtaken
                .map_or(never, |o| (Threshold::new(o.probability), o.by_records)),
            is_idle: *delivery == Delivery::default(),
            held: BinaryHeap::new(),
            overtaken: BinaryHeap::new(),
            n_in_turn: 0,
            next: None,
            n_held: 0,
            last_due_us: 0,
        }
    }

    /// The next record to send, made by `make` where one in its turn is needed.
    pub(crate) fn next(&mut self, out: &mut SceneRecord, mut make: impl FnMut(&mut SceneRecord)) {
        if self.is_idle {
            make(out);
            return;
        }
        loop {
            let n_in_turn = self.n_in_turn;
            let is_due = |waiting: &Reverse<Waiting>| waiting.0.due <= n_in_turn;
            if let Some(record) = popped(&mut self.overtaken, is_due) {
                *out = record;
                break;
            }
            let next = self.next.get_or_insert_with(|| {
                let mut record = SceneRecord::default();
                make(&mut record);
                record
            });
            let now_us = next.due_us;
            let is_due = |waiting: &Reverse<Waiting>| waiting.0.due <= now_us;
            if let Some(record) = popped(&mut self.held, is_due) {
                *out = record;
                // One that goes early must not keep the others waiting for its time.
                out.due_us = out.due_us.min(now_us);
                break;
            }
            let Some(mut record) = self.next.take() else { continue };
            if self.draws(self.late.0) {
                record.delivered = Delivered::Late;
                let due_us = self.delayed(record.due_us, self.late.1);
                self.hold(record, due_us);
            } else if self.draws(self.out_of_order.0) {
                record.delivered = Delivered::OutOfOrder;
                let (min, max) = self.out_of_order.1.bounds();
                #[expect(clippy::cast_possible_truncation, reason = "checked: 1 to 100000")]
                #[expect(clippy::cast_sign_loss, reason = "checked: 1 to 100000")]
                let n_records = self.random.within(min as u64, max as u64);
                let due = self.n_in_turn.saturating_add_unsigned(n_records);
                self.n_held += 1;
                self.overtaken.push(Reverse(Waiting { due, order: self.n_held, record }));
            } else {
                if self.draws(self.duplicate.0) {
                    let mut copy = record.clone();
                    copy.delivered = Delivered::Duplicate;
                    let due_us = self.delayed(record.due_us, self.duplicate.1);
                    self.hold(copy, due_us);
                }
                *out = record;
                self.n_in_turn += 1;
                break;
            }
        }
        // What was held back goes when it goes.
        out.due_us = out.due_us.max(self.last_due_us);
        self.last_due_us = out.due_us;
    }

    fn draws(&mut self, threshold: Threshold) -> bool {
        threshold != Threshold::NEVER && self.random.happens(threshold)
    }

    fn delayed(&mut self, due_us: i64, by_s: Span) -> i64 {
        let (min, max) = by_s.bounds();
        #[expect(clippy::cast_possible_truncation, reason = "checked: a day at most")]
        let delay_us = (self.random.between(min, max) * 1e6) as i64;
        due_us.saturating_add(delay_us)
    }

    fn hold(&mut self, mut record: SceneRecord, due_us: i64) {
        record.due_us = due_us;
        self.n_held += 1;
        self.held.push(Reverse(Waiting { due: due_us, order: self.n_held, record }));
    }
}

/// The first of those that wait, if it is due or they are too many.
fn popped(
    waiting: &mut BinaryHeap<Reverse<Waiting>>,
    is_due: impl Fn(&Reverse<Waiting>) -> bool,
) -> Option<SceneRecord> {
    let goes_now = waiting.len() > MAX_HELD || waiting.peek().is_some_and(is_due);
    goes_now.then(|| waiting.pop()).flatten().map(|Reverse(waiting)| waiting.record)
}
