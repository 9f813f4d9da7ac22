//! The points of the samples that lie near a point.

use alloc::vec::Vec;

use crate::math::sqrt;
use crate::pool::{Known, Member, members};
use crate::{Forest, PointError};

/// A point of the samples, seen from another.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Neighbor {
    /// Its numbers: `n_dims * shingle_size`, the oldest observation first.
    pub point: Vec<f32>,
    /// How far away it is: Euclidean, in units of the numbers.
    pub distance: f64,
    /// How often the trees' samples hold it, at least 1. It tells how recent and how frequent it is.
    pub n_holders: u32,
}

/// The distinct points among members, with the sums of their holders, in an order of their own.
fn merged<'a>(members: &mut [Member<'a>]) -> Vec<Member<'a>> {
    members.sort_unstable_by(Member::order);
    let mut merged: Vec<Member<'a>> = Vec::new();
    for member in members {
        match merged.last_mut() {
            Some(last) if last.point == member.point => last.n_holders += member.n_holders,
            _ => merged.push(*member),
        }
    }
    merged
}

impl Forest {
    /// The points of all samples that are at most `max_distance` from an observation, the nearest
    /// `n_most` of them, nearest first; equal points are one. None before the forest is ready.
    /// Nothing is learnt.
    ///
    /// With internal shingling the observation is the newest of its shingle. These are all there
    /// are, not those that a walk down the trees happens upon.
    ///
    /// ```
    /// let mut forest = rcf::ForestSettings::new(2).build()?;
    /// for n in 0..200 {
    ///     forest.update(&[n as f32, 0.0])?;
    /// }
    /// let near = forest.near_neighbors(&[150.0, 4.0], 5.0, 10)?;
    /// assert_eq!((near[0].point.as_slice(), near[0].distance), ([150.0, 0.0].as_slice(), 4.0));
    /// assert!(near.iter().all(|neighbor| neighbor.distance <= 5.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: one look at every point of all samples, some thousands times the length of a point.
    pub fn near_neighbors(
        &self,
        observation: &[f32],
        max_distance: f64,
        n_most: usize,
    ) -> Result<Vec<Neighbor>, PointError> {
        self.check(observation)?;
        if !self.is_ready() {
            return Ok(Vec::new());
        }
        let point_len = self.settings.point_len();
        let near = self.with_point(observation, |point| {
            let known = Known::all(point.len());
            let distance = |member: &Member<'_>| sqrt(known.squared_distance(member.point, point));
            let trees = self.opened();
            let mut members = members(&trees);
            members.retain(|member| distance(member) <= max_distance);
            let mut near: Vec<Neighbor> = merged(&mut members)
                .iter()
                .map(|member| Neighbor {
                    point: member.point[..point_len].to_vec(),
                    distance: distance(member),
                    n_holders: member.n_holders,
                })
                .collect();
            near.sort_by(|a, b| a.distance.total_cmp(&b.distance));
            near
        });
        Ok(near.into_iter().take(n_most).collect())
    }
}
