//! A forest as a structure for serde, JSON above all: the snapshot in plain sight.
//!
//! It is a transcript of the bytes of [`Forest::to_bytes`], so that both say the same, and what is
//! read passes the same checks. It has a version of its own.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::{Reader, Writer};
use crate::snapshot::{LEAF, NODE, read_settings, sealed, unsealed, write_settings};
use crate::{Forest, ForestSettings, SnapshotError};

/// The version that is written. Every older one can be read.
const JSON_VERSION: u16 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    rcf_version: u16,
    settings: ForestSettings,
    n_observations: u64,
    n_accepted: u64,
    n_points: u64,
    scale: f64,
    /// The newest shingle, the oldest observation first.
    shingle: Vec<f32>,
    /// The points that any tree keeps.
    points: Vec<Vec<f32>>,
    trees: Vec<TreeDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeDocument {
    /// The state of its generator.
    random: u64,
    /// The points until the next one enters.
    to_pass: u64,
    /// Nodes and leaves in preorder.
    parts: Vec<PartDocument>,
    weights: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum PartDocument {
    Node { dim: u64, cut: f32 },
    Leaf { point: u64, entries: Vec<u64> },
}

/// A list whose length is a count, each element read by a function.
fn list<T>(
    input: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, SnapshotError>,
) -> Result<Vec<T>, SnapshotError> {
    let length = input.count()?;
    (0..length).map(|_| read(input)).collect()
}

impl Document {
    fn of(forest: &Forest) -> Result<Self, SnapshotError> {
        let bytes = forest.to_bytes();
        let (version, body) = unsealed(&bytes)?;
        let input = &mut Reader::new(body);
        let settings = read_settings(input, version)?;
        let point_len = settings.point_len();
        let point = |input: &mut Reader<'_>| (0..point_len).map(|_| input.f32()).collect();
        Ok(Self {
            rcf_version: JSON_VERSION,
            n_observations: input.u64()?,
            n_accepted: input.u64()?,
            n_points: input.u64()?,
            scale: input.f64()?,
            shingle: point(input)?,
            points: list(input, point)?,
            trees: (0..settings.n_trees)
                .map(|_| TreeDocument::read(input))
                .collect::<Result<_, _>>()?,
            settings,
        })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, &'static str> {
        if self.rcf_version != JSON_VERSION {
            return Err("a newer version of rcf wrote the snapshot");
        }
        let point_len = self.settings.point_len();
        if self.points.iter().chain([&self.shingle]).any(|point| point.len() != point_len) {
            return Err("a point has another length than the settings say");
        }
        if self.trees.len() != self.settings.n_trees {
            return Err("there are more or fewer trees than the settings say");
        }
        Ok(sealed(|out| {
            write_settings(&self.settings, out);
            out.u64(self.n_observations);
            out.u64(self.n_accepted);
            out.u64(self.n_points);
            out.f64(self.scale);
            self.shingle.iter().for_each(|x| out.f32(*x));
            out.count(self.points.len() as u64);
            self.points.iter().flatten().for_each(|x| out.f32(*x));
            self.trees.iter().for_each(|tree| tree.write(out));
        }))
    }
}

impl TreeDocument {
    fn read(input: &mut Reader<'_>) -> Result<Self, SnapshotError> {
        Ok(Self {
            random: input.u64()?,
            to_pass: input.count()?,
            parts: list(input, PartDocument::read)?,
            weights: list(input, |input| input.f32())?,
        })
    }

    fn write(&self, out: &mut Writer) {
        out.u64(self.random);
        out.count(self.to_pass);
        out.count(self.parts.len() as u64);
        self.parts.iter().for_each(|part| part.write(out));
        out.count(self.weights.len() as u64);
        self.weights.iter().for_each(|weight| out.f32(*weight));
    }
}

impl PartDocument {
    fn read(input: &mut Reader<'_>) -> Result<Self, SnapshotError> {
        if input.u8()? == NODE {
            return Ok(Self::Node { dim: input.count()?, cut: input.f32()? });
        }
        Ok(Self::Leaf { point: input.count()?, entries: list(input, |input| input.count())? })
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Self::Node { dim, cut } => {
                out.raw(&[NODE]);
                out.count(*dim);
                out.f32(*cut);
            }
            Self::Leaf { point, entries } => {
                out.raw(&[LEAF]);
                out.count(*point);
                out.count(entries.len() as u64);
                entries.iter().for_each(|entry| out.count(*entry));
            }
        }
    }
}

/// What [`Forest::to_bytes`] says, as a structure with names.
impl Serialize for Forest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let document = Document::of(self).map_err(serde::ser::Error::custom)?;
        document.serialize(serializer)
    }
}

/// The forest that was serialized, in this version or an older one; it goes on as though it had
/// never been away, to the last bit, where the format keeps floats to theirs (`serde_json` with its
/// feature `float_roundtrip`). What is no forest is an error.
impl<'de> Deserialize<'de> for Forest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Document::deserialize(deserializer)?;
        document.settings.validate().map_err(D::Error::custom)?;
        let bytes = document.to_bytes().map_err(D::Error::custom)?;
        Forest::from_bytes(&bytes).map_err(D::Error::custom)
    }
}
