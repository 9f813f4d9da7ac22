//! What the missing coordinates of a point are likely to be, given the others.
//!
//! The points of all samples together are a sample of the stream that prefers the recent. Those
//! among them that lie nearest in the known coordinates show how the missing ones are distributed.

use alloc::vec::Vec;

use crate::math::exp;
use crate::pool::{Known, Member};
use crate::random::Random;

/// The members nearest to a point in its known coordinates: those that hold twice the square root of
/// what all hold, weighted by how often they are held and how close they are. They stand in an
/// order that only depends on them.
pub(crate) struct Neighborhood<'a> {
    // With the weight of each.
    members: Vec<(Member<'a>, f64)>,
    weight: f64,
    share: f64,
}

impl<'a> Neighborhood<'a> {
    /// Of a padded point; there must be members. `share` is what it counts among others.
    pub(crate) fn of(members: &[Member<'a>], known: &Known, point: &[f32], share: f64) -> Self {
        let distance = |member: &Member<'_>| known.squared_distance(member.point, point);
        let distances: Vec<f64> = members.iter().map(distance).collect();
        let n_all: usize = members.iter().map(|member| member.n_holders as usize).sum();
        let n_wanted = 2 * n_all.isqrt();
        // Each is held at least once: so many are enough.
        let n_nearest = n_wanted.min(members.len());
        let mut ranked = distances.clone();
        let (_, reach, _) = ranked.select_nth_unstable_by(n_nearest - 1, f64::total_cmp);
        let reach = *reach;
        let mut near: Vec<(f64, Member<'a>)> =
            distances.into_iter().zip(members.iter().copied()).collect();
        near.retain(|(distance, _)| *distance <= reach);
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.order(&b.1)));
        // Equal points are one, whenever they came: a snapshot does not tell them apart.
        near.dedup_by(|(_, member), (_, first)| {
            let is_equal = member.point == first.point;
            first.n_holders += if is_equal { member.n_holders } else { 0 };
            is_equal
        });
        // All that are as near as the last: which of equals were the last would be chance.
        let reach = distance_of(&near, n_wanted);
        near.retain(|(distance, _)| *distance <= reach);
        // The nearer third tells how far away is far. Where it is equal, nothing else counts.
        let width = distance_of(&near, n_wanted / 3);
        let closeness = |distance: f64| match distance {
            0.0 => 1.0,
            _ if width == 0.0 => 0.0,
            _ => exp(-distance / width),
        };
        let weigh = |(distance, member): (f64, Member<'a>)| {
            (member, closeness(distance) * f64::from(member.n_holders))
        };
        let members: Vec<(Member<'a>, f64)> = near.into_iter().map(weigh).collect();
        let weight = members.iter().map(|(_, weight)| weight).sum();
        Self { members, weight, share }
    }

    /// One of the members at random.
    pub(crate) fn draw(&self, random: &mut Random) -> &'a [f32] {
        let mut left = random.open01() * self.weight;
        let reached = self.members.iter().find(|(_, weight)| {
            left -= weight;
            left < 0.0
        });
        reached.or(self.members.last()).map_or(&[], |(member, _)| member.point)
    }

    /// How many equally weighted members would tell as much.
    fn n_effective(&self) -> f64 {
        let squares: f64 = self.members.iter().map(|(_, weight)| weight * weight).sum();
        self.weight * self.weight / squares
    }
}

/// How far one must go to find so many holders among members in rising order.
fn distance_of(near: &[(f64, Member<'_>)], n_holders: usize) -> f64 {
    let mut n_found = 0;
    let reached = near.iter().find(|(_, member)| {
        n_found += member.n_holders as usize;
        n_found >= n_holders
    });
    reached.or(near.last()).map_or(0.0, |(distance, _)| *distance)
}

/// A value of a missing coordinate.
struct Weighted {
    value: f32,
    weight: f64,
}

/// Quantiles of a coordinate, of probabilities 0 < p < 1, over neighborhoods by their shares.
pub(crate) fn quantiles<const N: usize>(
    neighborhoods: &[Neighborhood<'_>],
    coordinate: usize,
    p: [f64; N],
) -> [f32; N] {
    let mut values: Vec<Weighted> = Vec::new();
    let (mut total, mut n_effective) = (0.0, 0.0);
    for near in neighborhoods {
        total += near.share;
        n_effective += near.share * near.n_effective();
        values.extend(near.members.iter().map(|(member, weight)| Weighted {
            value: member.point[coordinate],
            weight: near.share * weight / near.weight,
        }));
    }
    // Neighborhoods share members: together they tell as much as one of them.
    n_effective /= total;
    values.sort_unstable_by(|a, b| a.value.total_cmp(&b.value).then(a.weight.total_cmp(&b.weight)));
    p.map(|p| quantile(&values, total / n_effective, p * (n_effective + 1.0)))
}

/// The value at a position among sorted ones, of which the first of `n` equal ones stands at 1 and
/// the last at `n`: so between positions `p (n + 1)` and `q (n + 1)` lies the next one with
/// probability `q - p`.
fn quantile(values: &[Weighted], unit: f64, position: f64) -> f32 {
    let mut sum = 0.0;
    let mut last: Option<(f64, f32)> = None;
    for Weighted { value, weight } in values {
        let at = (sum + 0.5 * weight) / unit + 0.5;
        sum += weight;
        if at >= position {
            let Some((before, lower)) = last else { return *value };
            let share = (position - before) / (at - before);
            let (lower, value) = (f64::from(lower), f64::from(*value));
            #[expect(clippy::cast_possible_truncation, reason = "between two f32")]
            return ((1.0 - share) * lower + share * value) as f32;
        }
        last = Some((at, *value));
    }
    last.map_or(0.0, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(values: &[(f32, u32)]) -> Vec<Vec<f32>> {
        values.iter().map(|(value, _)| vec![*value]).collect()
    }

    fn quantiles_of(values: &[(f32, u32)], p: f64) -> f32 {
        let points = near(values);
        let members: Vec<Member<'_>> = points
            .iter()
            .zip(values)
            .map(|(point, (_, n_holders))| Member { point, n_holders: *n_holders })
            .collect();
        let known = Known::without(1, 0..1);
        quantiles(&[Neighborhood::of(&members, &known, &[0.0], 1.0)], 0, [p])[0]
    }

    #[test]
    fn quantiles_stand_where_the_next_value_falls_with_their_probability() {
        let nine: Vec<(f32, u32)> = (1..=9).map(|n| (n as f32, 1)).collect();
        assert_eq!(quantiles_of(&nine, 0.1), 1.0);
        assert_eq!(quantiles_of(&nine, 0.5), 5.0);
        assert_eq!(quantiles_of(&nine, 0.9), 9.0);
        assert_eq!(quantiles_of(&nine, 0.55), 5.5);
        // Beyond the ends there is nothing.
        assert_eq!((quantiles_of(&nine, 0.01), quantiles_of(&nine, 0.99)), (1.0, 9.0));
    }

    #[test]
    fn members_count_as_often_as_they_are_held() {
        assert_eq!(quantiles_of(&[(0.0, 1), (1.0, 8), (2.0, 1)], 0.5), 1.0);
        assert!(quantiles_of(&[(0.0, 8), (1.0, 1), (2.0, 1)], 0.5) < 0.6);
    }

    #[test]
    fn nothing_depends_on_the_order_of_members() {
        let points: Vec<Vec<f32>> = (0..200).map(|n| vec![(n % 20) as f32, n as f32]).collect();
        let mut members: Vec<Member<'_>> =
            points.iter().map(|point| Member { point, n_holders: 1 }).collect();
        let known = Known::without(2, 1..2);
        let draw = |members: &[Member<'_>]| {
            let near = [Neighborhood::of(members, &known, &[3.2, 0.0], 1.0)];
            let mut random = Random::new(1);
            let drawn: Vec<f32> = (0..20).map(|_| near[0].draw(&mut random)[1]).collect();
            (drawn, quantiles(&near, 1, [0.1, 0.5, 0.9]))
        };
        let forwards = draw(&members);
        assert!(forwards.0.iter().all(|x| [2.0, 3.0, 4.0].contains(&(x % 20.0))));
        members.reverse();
        assert_eq!(draw(&members), forwards);
    }
}
