//! Small forests of one dimension in as little memory as they can be had.
//!
//! Every tree is a stretch of bits that is read when it is asked and written anew when it changes.
//! It holds what the future depends on and nothing else, each number in about as many bits as it
//! needs: no links and boxes, which follow from the order of the leaves and the gaps' depths; no
//! list of points, which costs more than the numbers inline, as these stand in order. Random numbers
//! are drawn and sums are taken in the order of [`crate::line_change`] and [`crate::line_walk`], so
//! that scores and snapshots have the same bits.
//!
//! Questions that are asked seldom are put to the trees of the usual kind that `Tiny::unpacked` makes.

use alloc::boxed::Box;
use alloc::vec::Vec;

mod bits;
#[cfg(test)]
mod check;
mod code;
mod open;
mod pack;
mod score;

use code::{Counts, Decoder};
use open::OpenTree;

use crate::engine::{Present, Work, run};
use crate::kernel::Kernel;
use crate::level::Level;
use crate::random::Random;
use crate::sampler::{Clock, Policy, largest, offer, points_to_pass, rebase};
use crate::tables::Tables;
use crate::walk::BATCH;

/// What is kept of each tree beside its bits.
#[derive(Clone, Debug)]
struct Head {
    random: Random,
    /// The number of the point that enters the full sample next.
    next: u64,
    /// The first byte behind its bits.
    end: u32,
    counts: Counts,
    /// The entry of largest weight, while the sample is full.
    largest: u8,
}

/// A small forest of one dimension.
#[derive(Debug)]
pub(crate) struct Tiny {
    heads: Box<[Head]>,
    /// The trees' bits, one after the other, and what reads need behind them. See [`room_for`].
    bytes: Vec<u8>,
}

impl Clone for Tiny {
    fn clone(&self) -> Self {
        let mut bytes = Vec::with_capacity(room_for(self.bytes.len()));
        bytes.extend_from_slice(&self.bytes);
        Self { heads: self.heads.clone(), bytes }
    }
}

impl Tiny {
    /// Whether it can keep a forest.
    pub(crate) fn holds(point_len: usize, sample_size: usize) -> bool {
        point_len == 1 && sample_size <= open::MOST
    }

    /// Trees without a point.
    pub(crate) fn new(seeds: impl Iterator<Item = u64>) -> Self {
        let (mut bytes, mut words) = (Vec::new(), Vec::new());
        let head = |seed| {
            let (counts, n_bytes) = code::write(&OpenTree::empty(), &mut words);
            bytes.resize(bytes.len() + n_bytes, 0);
            let end = place(bytes.len());
            Head { random: Random::new(seed), next: 0, end, counts, largest: 0 }
        };
        let heads = seeds.map(head).collect();
        bytes.extend([0; bits::PAD]);
        Self { heads, bytes }
    }

    #[inline(always)]
    fn start(&self, tree: usize) -> usize {
        tree.checked_sub(1).map_or(0, |before| self.heads[before].end as usize)
    }

    #[inline(always)]
    fn decoder(&self, tree: usize) -> Decoder<'_> {
        Decoder::new(&self.bytes, self.start(tree), self.heads[tree].counts)
    }

    /// Writes a tree anew, by way of words that may hold anything.
    #[inline(always)]
    fn close(&mut self, tree: usize, open: &OpenTree, words: &mut Vec<u64>) {
        let (counts, n_bytes) = code::write(open, words);
        self.heads[tree].counts = counts;
        let (start, old_end) = (self.start(tree), self.heads[tree].end as usize);
        let (len, end) = (self.bytes.len(), start + n_bytes);
        if end != old_end {
            let new_len = len + end - old_end;
            if new_len > len {
                self.make_room(new_len);
                self.bytes.resize(new_len, 0);
            }
            self.bytes.copy_within(old_end..len, end);
            if new_len < len {
                self.bytes.truncate(new_len);
                self.make_room(new_len);
            }
            for head in &mut self.heads[tree..] {
                head.end = place(head.end as usize + end - old_end);
            }
        }
        bits::copy(words, &mut self.bytes[start..end]);
    }

    /// Fits the room to so many bytes, where it is too small or more than a step too large.
    fn make_room(&mut self, len: usize) {
        let (now, wanted) = (self.bytes.capacity(), room_for(len));
        if now < len {
            self.bytes.reserve_exact(wanted - self.bytes.len());
        } else if now > wanted + STEP {
            self.bytes.shrink_to(wanted);
        }
    }

    /// The sum of the scores of a number.
    pub(crate) fn score(&self, level: Level, tables: &Tables, x: f32) -> f64 {
        run(level, Score { tiny: self, tables, x })
    }

    /// Learns a number.
    pub(crate) fn learn(&mut self, level: Level, present: Present<'_>, x: f32) {
        run(level, Learn { tiny: self, present, x });
    }

    #[inline(always)]
    fn offer(&mut self, present: Present<'_>, x: f32) {
        let Present { policy, clock, n_accepted } = present;
        let factor = clock.tick(policy);
        let mut words = Vec::new();
        for tree in 0..self.heads.len() {
            let is_taker = self.heads[tree].next <= clock.n_points;
            if !is_taker && factor.is_none() {
                continue;
            }
            let mut open = self.decoder(tree).open();
            if let Some(factor) = factor {
                rebase(&mut open.weights[..open.n_entries], factor);
                if open.n_entries == policy.sample_size as usize {
                    // Rounding may have made equals of the largest.
                    self.heads[tree].largest = open::small(largest(open.weights()) as usize);
                }
            }
            if is_taker {
                let head = &mut self.heads[tree];
                if let Some(entry) = admit(head, &mut open, policy, clock) {
                    *n_accepted += 1;
                    open.insert(entry, x, &mut head.random);
                    draw_next(head, open.weights(), policy, clock);
                } else if factor.is_none() {
                    continue;
                }
            }
            self.close(tree, &open, &mut words);
        }
    }

    /// Draws anew which points enter full samples next.
    pub(crate) fn draw_all_next(&mut self, policy: &Policy, clock: &Clock) {
        for tree in 0..self.heads.len() {
            let open = self.decoder(tree).open();
            draw_next(&mut self.heads[tree], open.weights(), policy, clock);
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.heads.len() * size_of::<Head>() + self.bytes.capacity()
    }
}

struct Score<'a> {
    tiny: &'a Tiny,
    tables: &'a Tables,
    x: f32,
}

impl Work for Score<'_> {
    type Result = f64;

    #[inline(always)]
    fn run<K: Kernel>(self) -> f64 {
        let Self { tiny, tables, x } = self;
        let mut sum = 0.0;
        for start in (0..tiny.heads.len()).step_by(BATCH) {
            let batch = start..(start + BATCH).min(tiny.heads.len());
            sum += score::score(tiny, tables, batch, x);
        }
        sum
    }
}

struct Learn<'a> {
    tiny: &'a mut Tiny,
    present: Present<'a>,
    x: f32,
}

impl Work for Learn<'_> {
    type Result = ();

    #[inline(always)]
    fn run<K: Kernel>(self) {
        self.tiny.offer(self.present, self.x);
    }
}

/// Room is asked for in steps of so many bytes.
const STEP: usize = 256;

/// The room that so many bytes are given.
///
/// Trees change by some bytes at a time, which mostly fits into what is left of a step. And of few
/// sizes, what one model leaves to move is where another fits: with as many sizes as lengths a third
/// of a process's memory lay unused between its models.
fn room_for(len: usize) -> usize {
    len.next_multiple_of(STEP)
}

fn place(byte: usize) -> u32 {
    u32::try_from(byte).expect("a thousand trees of some hundred bytes")
}

/// Offers the present number to a sample whose turn it is. Where it is taken, its weight is set and
/// the entry that it takes is in no leaf.
fn admit(head: &mut Head, open: &mut OpenTree, policy: &Policy, clock: &Clock) -> Option<usize> {
    let known = [open::small(open.n_entries).into(), head.largest.into()];
    let (entry, is_new) = offer(policy, clock, &mut head.random, &mut open.weights, known)?;
    let entry = entry as usize;
    if is_new {
        open.add();
    } else {
        open.remove(entry);
    }
    Some(entry)
}

/// Draws which point enters a full sample next.
fn draw_next(head: &mut Head, weights: &[f32], policy: &Policy, clock: &Clock) {
    if weights.len() < policy.sample_size as usize {
        return;
    }
    let most = largest(weights);
    let threshold = clock.threshold(weights[most as usize]);
    head.largest = open::small(most as usize);
    head.next = clock.n_points + 1 + points_to_pass(policy, threshold, &mut head.random);
}
