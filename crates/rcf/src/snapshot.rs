//! A forest as bytes.
//!
//! Version 1, all numbers little-endian, "count" meaning seven bits a byte:
//! the magic and the version; the settings; observations, decay; the shingle; the points in use;
//! for every tree its generator, its nodes and leaves in preorder, its sample in heap order and the
//! pending jump; a checksum. Boxes, masses and range sums follow from the points and are not kept.
//! Nodes, leaves and slots are numbered by first appearance, so that equal forests have equal bytes
//! whatever their memory looks like.

use std::collections::HashMap;

use crate::codec::{Reader, Writer, checksum};
use crate::forest::Member;
use crate::points::PointStore;
use crate::random::Random;
use crate::sampler::{Entry, Sampler};
use crate::tree::{Part, Tree};
use crate::{Forest, ForestSettings, SnapshotError};

const MAGIC: &[u8; 4] = b"RCF\n";
/// The version that is written. Every older one can be read.
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 8;

const NODE: u8 = 0;
const LEAF: u8 = 1;

fn damaged<T>(what: &'static str) -> Result<T, SnapshotError> {
    Err(SnapshotError::Damaged { what })
}

impl Forest {
    /// The forest as bytes: everything that its future depends on.
    ///
    /// Cost: about 20 bytes a tree and sample, and 4 a coordinate.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.raw(MAGIC);
        out.raw(&VERSION.to_le_bytes());
        write_settings(&self.settings, &mut out);
        out.u64(self.n_observations);
        out.f64(self.decayed);
        self.shingle.numbers().iter().for_each(|x| out.f32(*x));

        let trees: Vec<Vec<(Part, u32)>> =
            self.members.iter().map(|member| member.tree.preorder()).collect();
        let mut slots: HashMap<u32, u64> = HashMap::new();
        let mut in_use = Vec::new();
        for (part, _) in trees.iter().flatten() {
            if let Part::Leaf { slot, .. } = part {
                slots.entry(*slot).or_insert_with(|| {
                    in_use.push(*slot);
                    in_use.len() as u64 - 1
                });
            }
        }
        out.count(in_use.len() as u64);
        for slot in in_use {
            self.points.get(slot).iter().for_each(|x| out.f32(*x));
        }
        for (member, parts) in self.members.iter().zip(&trees) {
            write_member(member, parts, &slots, &mut out);
        }
        let sum = checksum(&out.bytes);
        out.u64(sum);
        out.bytes
    }

    /// The forest that [`Forest::to_bytes`] described.
    ///
    /// # Errors
    /// The bytes are not such a description, of a newer version, or damaged. No bytes make it panic
    /// or take more memory than a few times their length and what their settings ask for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err(SnapshotError::NotASnapshot) };
        let Some((version, rest)) = rest.split_first_chunk() else {
            return damaged("the bytes are cut short");
        };
        let actual = u16::from_le_bytes(*version);
        if actual != VERSION {
            return Err(SnapshotError::Version { supported: VERSION, actual });
        }
        let Some((body, sum)) = rest.split_last_chunk::<CHECKSUM_BYTES>() else {
            return damaged("the bytes are cut short");
        };
        if u64::from_le_bytes(*sum) != checksum(&bytes[..bytes.len() - CHECKSUM_BYTES]) {
            return damaged("the checksum does not fit");
        }
        let mut input = Reader::new(body);
        let settings = read_settings(&mut input)?;
        settings.validate().map_err(SnapshotError::Settings)?;
        let mut forest = Forest::new(settings);
        forest.n_observations = input.u64()?;
        forest.decayed = input.f64()?;
        if !(forest.decayed.is_finite() && forest.decayed >= 0.0) {
            return damaged("the decay is not a number of at least 0");
        }
        for x in forest.shingle.numbers_mut() {
            *x = input.f32()?;
        }
        let point_len = forest.settings.point_len();
        let n_points = input.at_most(input.remaining() / (4 * point_len), "too many points")?;
        let mut n_uses = vec![0_u32; n_points as usize];
        let mut point = vec![0.0; point_len];
        for _ in 0..n_points {
            for x in &mut point {
                *x = input.f32()? + 0.0;
            }
            forest.points.insert(&point);
        }
        for tree_idx in 0..forest.members.len() {
            forest.members[tree_idx] =
                read_member(&mut input, &forest.settings, &mut forest.points, &mut n_uses)?;
        }
        if n_uses.contains(&0) {
            return damaged("a point is in no tree");
        }
        if input.remaining() > 0 {
            return damaged("bytes follow the end");
        }
        Ok(forest)
    }
}

fn write_settings(settings: &ForestSettings, out: &mut Writer) {
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
}

fn read_settings(input: &mut Reader<'_>) -> Result<ForestSettings, SnapshotError> {
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
    })
}

fn write_member(
    member: &Member,
    parts: &[(Part, u32)],
    slots: &HashMap<u32, u64>,
    out: &mut Writer,
) {
    out.u64(member.random.state());
    out.count(parts.len() as u64);
    let mut leaves: HashMap<u32, u64> = HashMap::new();
    for (part, idx) in parts {
        match part {
            Part::Node { dim, cut } => {
                out.raw(&[NODE]);
                out.count(u64::from(*dim));
                out.f32(*cut);
            }
            Part::Leaf { slot, mass } => {
                out.raw(&[LEAF]);
                out.count(slots[slot]);
                out.count(u64::from(*mass));
                leaves.insert(*idx, leaves.len() as u64);
            }
        }
    }
    out.count(member.sampler.len() as u64);
    for entry in member.sampler.entries() {
        out.f64(entry.weight);
        out.count(leaves[&entry.leaf]);
    }
    out.u64(member.sampler.n_to_pass());
}

fn read_member(
    input: &mut Reader<'_>,
    settings: &ForestSettings,
    points: &mut PointStore,
    n_uses: &mut [u32],
) -> Result<Member, SnapshotError> {
    let random = Random::new(input.u64()?);
    let n_parts = input.at_most(2 * settings.sample_size - 1, "a tree has too many nodes")?;
    let mut parts = Vec::new();
    // The points that each leaf's entries in the sample have still to account for.
    let mut unsampled: Vec<u32> = Vec::new();
    for _ in 0..n_parts {
        parts.push(match input.u8()? {
            NODE => {
                let dim = input.at_most(settings.point_len() - 1, "a cut has no such dimension")?;
                Part::Node { dim, cut: input.f32()? }
            }
            LEAF => {
                let slot = input.at_most(n_uses.len().wrapping_sub(1), "a leaf has no point")?;
                if n_uses.is_empty() {
                    return damaged("a leaf has no point");
                }
                let mass = input.at_most(settings.sample_size, "a leaf has too many points")?;
                if mass == 0 {
                    return damaged("a leaf holds no points");
                }
                n_uses[slot as usize] += 1;
                if n_uses[slot as usize] > 1 {
                    points.retain(slot);
                }
                unsampled.push(mass);
                Part::Leaf { slot, mass }
            }
            _ => return damaged("neither a node nor a leaf"),
        });
    }
    let Some(tree) = Tree::from_preorder(parts.into_iter(), points) else {
        return damaged("nodes and leaves do not make a tree");
    };
    let n_entries = input.at_most(settings.sample_size, "a sample has too many points")?;
    let mut entries = Vec::new();
    for _ in 0..n_entries {
        let weight = input.f64()?;
        let leaf = input.at_most(unsampled.len(), "a sample has no such leaf")?;
        match unsampled.get_mut(leaf as usize) {
            Some(left) if *left > 0 && weight.is_finite() => *left -= 1,
            _ => return damaged("sample and leaves do not fit"),
        }
        entries.push(Entry { weight, leaf });
    }
    if unsampled.iter().any(|left| *left > 0) || n_entries != tree.mass() {
        return damaged("sample and leaves do not fit");
    }
    let Some(sampler) = Sampler::restore(entries, input.u64()?) else {
        return damaged("a sample is out of order");
    };
    Ok(Member { tree, sampler, random })
}
