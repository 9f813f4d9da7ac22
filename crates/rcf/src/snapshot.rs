//! A forest as bytes.
//!
//! All numbers are little-endian, a "count" has seven bits a byte. Version 2: the magic and the
//! version; the settings; observations, entries ever made, points learnt, the weights' scale; the
//! shingle; the points in use, equal ones once; for every tree its generator, the points until the next one enters,
//! its nodes and leaves in preorder, each leaf with its entries, and the weights; a checksum. Boxes,
//! masses and range sums follow from the points and are not kept. Nodes and slots are numbered by
//! first appearance, so that equal forests have equal bytes whatever their memory looks like.
//!
//! Version 1 had the decay in place of the scale, logarithms of weights, and each tree's sample as a
//! heap behind its leaves; it knew neither entries ever made nor points learnt.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::codec::{Reader, Writer, checksum};
use crate::engine::{AnyTrees, with_trees};
use crate::layout::Layout;
use crate::math::exp;
use crate::random::Random;
use crate::rebuild::Part;
use crate::storage::Storage;
use crate::trees::{Scratch, Trees};
use crate::{Forest, ForestSettings, SnapshotError};

const MAGIC: &[u8; 4] = b"RCF\n";
/// The version that is written. Every older one can be read.
const VERSION: u16 = 2;
const CHECKSUM_BYTES: usize = 8;
const MOST_POINTS: u64 = 1 << 62;

pub(crate) const NODE: u8 = 0;
pub(crate) const LEAF: u8 = 1;

fn damaged<T>(what: &'static str) -> Result<T, SnapshotError> {
    Err(SnapshotError::Damaged { what })
}

impl Forest {
    /// The forest as bytes: everything that its future depends on.
    ///
    /// Cost: about 16 bytes a tree and sample, and 4 a coordinate.
    pub fn to_bytes(&self) -> Vec<u8> {
        sealed(|out| {
            write_settings(&self.settings, out);
            out.u64(self.n_observations);
            out.u64(self.n_accepted);
            out.u64(self.clock.n_points);
            out.f64(self.clock.scale);
            self.shingle.numbers().iter().for_each(|x| out.f32(*x));
            with_trees!(&*self.opened(), trees => {
                write_trees(trees, self.settings.point_len(), self.clock.n_points, out);
            });
        })
    }

    /// The forest that [`Forest::to_bytes`] described, in this version or an older one.
    ///
    /// # Errors
    /// The bytes are not such a description, of a newer version, or damaged. No bytes make it panic
    /// or take more memory than a few times their length and what their settings ask for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (version, body) = unsealed(bytes)?;
        let mut input = Reader::new(body);
        let settings = read_settings(&mut input, version)?;
        settings.validate().map_err(SnapshotError::Settings)?;
        let mut forest = Forest::new(settings);
        read_present(&mut input, version, &mut forest)?;
        for x in forest.shingle.numbers_mut() {
            *x = input.f32()? + 0.0;
        }
        let n_points = forest.clock.n_points;
        let settings = &forest.settings;
        let mut trees = AnyTrees::new(settings);
        with_trees!(&mut trees, trees => {
            read_trees(&mut input, version, settings, n_points, trees)?;
        });
        forest.trees = Storage::of(trees, settings);
        if input.remaining() > 0 {
            return damaged("bytes follow the end");
        }
        Ok(forest)
    }
}

/// The bytes of a snapshot around a body.
pub(crate) fn sealed(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::default();
    out.raw(MAGIC);
    out.raw(&VERSION.to_le_bytes());
    write(&mut out);
    let sum = checksum(&out.bytes);
    out.u64(sum);
    out.bytes
}

/// The version and the body of a snapshot's bytes.
pub(crate) fn unsealed(bytes: &[u8]) -> Result<(u16, &[u8]), SnapshotError> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err(SnapshotError::NotASnapshot) };
    let Some((version, rest)) = rest.split_first_chunk() else {
        return damaged("the bytes are cut short");
    };
    let version = u16::from_le_bytes(*version);
    if version > VERSION || version == 0 {
        return Err(SnapshotError::Version { supported: VERSION, actual: version });
    }
    let Some((body, sum)) = rest.split_last_chunk::<CHECKSUM_BYTES>() else {
        return damaged("the bytes are cut short");
    };
    if u64::from_le_bytes(*sum) != checksum(&bytes[..bytes.len() - CHECKSUM_BYTES]) {
        return damaged("the checksum does not fit");
    }
    Ok((version, body))
}

fn read_present(
    input: &mut Reader<'_>,
    version: u16,
    forest: &mut Forest,
) -> Result<(), SnapshotError> {
    forest.n_observations = input.u64()?;
    let incomplete = if forest.settings.internal_shingling {
        forest.settings.shingle_size as u64 - 1
    } else {
        0
    };
    let most_points = forest.n_observations.saturating_sub(incomplete);
    if version == 1 {
        forest.clock.n_points = most_points;
        // The decay since the weights' moment, at most 64.
        forest.clock.scale = exp(input.f64()?);
    } else {
        forest.n_accepted = input.u64()?;
        forest.clock.n_points = input.u64()?;
        forest.clock.scale = input.f64()?;
    }
    // A stream never comes that far, and counts must not overflow.
    if forest.n_observations.max(forest.n_accepted) > MOST_POINTS {
        return damaged("more observations than there can be");
    }
    if forest.clock.n_points > most_points {
        return damaged("more points than observations make");
    }
    if !(1.0..1e30).contains(&forest.clock.scale) {
        return damaged("the decay is out of range");
    }
    Ok(())
}

fn write_trees<L: Layout>(trees: &Trees<L>, point_len: usize, n_points: u64, out: &mut Writer) {
    let n_trees = trees.heads.len();
    let all: Vec<Vec<Part>> = (0..n_trees).map(|tree| trees.preorder(tree)).collect();
    let mut slots: BTreeMap<u32, u64> = BTreeMap::new();
    // Equal points are one, whenever they came.
    let mut numbers: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    let mut in_use = Vec::new();
    for part in all.iter().flatten() {
        if let Part::Leaf { slot, .. } = part {
            slots.entry(*slot).or_insert_with(|| {
                let point = &trees.points.get(*slot)[..point_len];
                let bits = point.iter().map(|x| x.to_bits()).collect();
                *numbers.entry(bits).or_insert_with(|| {
                    in_use.push(point);
                    in_use.len() as u64 - 1
                })
            });
        }
    }
    out.count(in_use.len() as u64);
    in_use.into_iter().flatten().for_each(|x| out.f32(*x));
    for (tree, parts) in all.iter().enumerate() {
        out.u64(trees.heads[tree].random.state());
        out.count(trees.next[tree].saturating_sub(n_points));
        out.count(parts.len() as u64);
        for part in parts {
            match part {
                Part::Node { dim, cut } => {
                    out.raw(&[NODE]);
                    out.count(u64::from(*dim));
                    out.f32(*cut);
                }
                Part::Leaf { slot, entries } => {
                    out.raw(&[LEAF]);
                    out.count(slots[slot]);
                    out.count(entries.len() as u64);
                    entries.iter().for_each(|entry| out.count(u64::from(*entry)));
                }
            }
        }
        let n_entries = trees.heads[tree].n_entries as usize;
        out.count(n_entries as u64);
        trees.weights[tree * trees.room..][..n_entries].iter().for_each(|x| out.f32(*x));
    }
}

/// A tree as it was read.
struct Member {
    random: Random,
    to_pass: u64,
    parts: Vec<Part>,
    weights: Vec<f32>,
}

fn read_trees<L: Layout>(
    input: &mut Reader<'_>,
    version: u16,
    settings: &ForestSettings,
    n_points: u64,
    trees: &mut Trees<L>,
) -> Result<(), SnapshotError> {
    let point_len = settings.point_len();
    let n_slots = input.at_most(input.remaining() / (4 * point_len), "too many points")?;
    let mut point = vec![0.0; trees.points.padded_len()];
    for _ in 0..n_slots {
        for x in &mut point[..point_len] {
            *x = input.f32()? + 0.0;
        }
        trees.points.insert(&point);
    }
    let mut n_uses = vec![0_u32; n_slots as usize];
    let mut members = Vec::new();
    for _ in 0..settings.n_trees {
        let member = read_member(input, version, settings, &mut n_uses)?;
        members.push(member);
    }
    let largest = members.iter().map(|member| member.weights.len()).max().unwrap_or(0);
    if n_uses.contains(&0) {
        return damaged("a point is in no tree");
    }
    // No two leaves of a tree hold equal points, which the trees' cuts will show; before that, the
    // counts must fit.
    if n_uses.iter().any(|n_uses| *n_uses as usize > settings.n_trees) {
        return damaged("a point is in a tree twice");
    }
    for (slot, n_uses) in (0..).zip(n_uses) {
        (1..n_uses).for_each(|_| trees.points.retain(slot));
    }
    trees.make_room(largest, settings.sample_size);
    let mut scratch = vec![0.0; 6 * trees.points.padded_len()];
    let mut scratch = Scratch::of(&mut scratch);
    for (tree, Member { random, to_pass, parts, weights }) in members.into_iter().enumerate() {
        let sample_size = u32::try_from(settings.sample_size).expect("validated");
        if weights.is_empty() && n_points > 0 {
            return damaged("a sample is empty that has been offered points");
        }
        if !trees.rebuild(tree, &parts, &weights, sample_size, &mut scratch) {
            return damaged("nodes and leaves do not make a tree");
        }
        trees.heads[tree].random = random;
        // Every point is offered to a sample that is not full.
        let is_full = weights.len() == settings.sample_size;
        trees.next[tree] = if is_full { n_points.saturating_add(to_pass) } else { 0 };
    }
    Ok(())
}

fn read_member(
    input: &mut Reader<'_>,
    version: u16,
    settings: &ForestSettings,
    n_uses: &mut [u32],
) -> Result<Member, SnapshotError> {
    let random = Random::new(input.u64()?);
    let mut to_pass = if version == 1 { 0 } else { input.count()? };
    let n_parts = input.at_most(2 * settings.sample_size - 1, "a tree has too many nodes")?;
    let mut parts = Vec::new();
    // Of version 1: the leaves' places among the parts, and their masses.
    let mut leaves: Vec<(usize, u32)> = Vec::new();
    let mut n_held = 0;
    for _ in 0..n_parts {
        parts.push(match input.u8()? {
            NODE => {
                let dim = input.at_most(settings.point_len() - 1, "a cut has no such dimension")?;
                // -0.0 would part other numbers than 0.0.
                Part::Node { dim, cut: input.f32()? + 0.0 }
            }
            LEAF => {
                let slot = input.at_most(n_uses.len().wrapping_sub(1), "a leaf has no point")?;
                let Some(n_uses) = n_uses.get_mut(slot as usize) else {
                    return damaged("a leaf has no point");
                };
                *n_uses += 1;
                let mass = input.at_most(settings.sample_size, "a leaf has too many points")?;
                n_held += mass as usize;
                if mass == 0 || n_held > settings.sample_size {
                    return damaged("a leaf holds none or too many points");
                }
                let mut entries = Vec::new();
                if version == 1 {
                    leaves.push((parts.len(), mass));
                } else {
                    for _ in 0..mass {
                        entries.push(input.at_most(settings.sample_size - 1, "no such entry")?);
                    }
                }
                Part::Leaf { slot, entries }
            }
            _ => return damaged("neither a node nor a leaf"),
        });
    }
    let n_entries = input.at_most(settings.sample_size, "a sample has too many points")?;
    let mut weights = Vec::new();
    for entry in 0..n_entries {
        let weight = if version == 1 { old_weight(input)? } else { input.f32()? };
        if weight <= 0.0 {
            return damaged("a weight is not above 0");
        }
        weights.push(weight);
        if version == 1 {
            let leaf = input.at_most(leaves.len(), "a sample has no such leaf")?;
            match leaves.get(leaf as usize).map(|(place, _)| &mut parts[*place]) {
                Some(Part::Leaf { entries, .. }) => entries.push(entry),
                _ => return damaged("sample and leaves do not fit"),
            }
        }
    }
    if version == 1 {
        to_pass = input.u64()?.saturating_add(1);
    }
    if n_held != weights.len() || !holds_each_once(&parts, weights.len()) {
        return damaged("sample and leaves do not fit");
    }
    Ok(Member { random, to_pass, parts, weights })
}

/// A weight of version 1: a logarithm.
fn old_weight(input: &mut Reader<'_>) -> Result<f32, SnapshotError> {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let weight = exp(input.f64()?).clamp(f32::MIN_POSITIVE.into(), f32::MAX.into()) as f32;
    if weight.is_nan() { damaged("a weight is not a number") } else { Ok(weight) }
}

/// Whether the leaves hold every entry once, in rising order.
fn holds_each_once(parts: &[Part], n_entries: usize) -> bool {
    let mut held = vec![false; n_entries];
    let entries = |part: &Part| match part {
        Part::Leaf { entries, .. } => entries.clone(),
        Part::Node { .. } => Vec::new(),
    };
    let rising = parts.iter().all(|part| entries(part).is_sorted());
    let once = parts.iter().flat_map(entries).all(|entry| {
        held.get_mut(entry as usize).is_some_and(|held| !core::mem::replace(held, true))
    });
    rising && once && held.into_iter().all(|held| held)
}

pub(crate) fn write_settings(settings: &ForestSettings, out: &mut Writer) {
    out.count(settings.n_dims as u64);
    out.count(settings.shingle_size as u64);
    out.count(u64::from(settings.internal_shingling));
    out.count(settings.n_trees as u64);
    out.count(settings.sample_size as u64);
    out.count(u64::from(settings.time_decay.is_some()));
    out.f64(settings.time_decay.unwrap_or_default());
    out.f64(settings.initial_accept_fraction);
    out.count(u64::from(settings.output_after.is_some()));
    out.u64(settings.output_after.unwrap_or_default());
    out.u64(settings.seed);
    out.count(u64::from(settings.compact));
}

pub(crate) fn read_settings(
    input: &mut Reader<'_>,
    version: u16,
) -> Result<ForestSettings, SnapshotError> {
    // Ranges are checked when all are read; these bounds only keep conversions safe.
    const MOST: usize = 1 << 24;
    let mut number = |most, what| input.at_most(most, what).map(|number| number as usize);
    let n_dims = number(MOST, "n_dims")?;
    let shingle_size = number(MOST, "shingle_size")?;
    let internal_shingling = number(1, "internal_shingling")? == 1;
    let n_trees = number(MOST, "n_trees")?;
    let sample_size = number(MOST, "sample_size")?;
    let has_decay = number(1, "time_decay")? == 1;
    let decay = input.f64()?;
    let initial_accept_fraction = input.f64()?;
    let has_output_after = input.at_most(1, "output_after")? == 1;
    let output_after = input.u64()?;
    Ok(ForestSettings {
        n_dims,
        shingle_size,
        internal_shingling,
        n_trees,
        sample_size,
        time_decay: has_decay.then_some(decay),
        initial_accept_fraction,
        output_after: has_output_after.then_some(output_after),
        seed: input.u64()?,
        compact: version > 1 && input.at_most(1, "compact")? == 1,
    })
}
