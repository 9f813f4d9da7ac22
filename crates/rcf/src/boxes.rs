//! Bounding boxes: a slice of the lowest coordinates, then one of the highest.
//!
//! Sums over dimensions are taken in eight lanes that are folded in one order, so that they are the
//! same however the compiler vectorises them. Ranges are differences in f64: those of f32 can
//! overflow.

const LANES: usize = 8;

/// A box as the two halves of `2 * point_len` numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<'a> {
    pub(crate) min: &'a [f32],
    pub(crate) max: &'a [f32],
}

impl<'a> Bounds<'a> {
    pub(crate) fn of(numbers: &'a [f32]) -> Self {
        let (min, max) = numbers.split_at(numbers.len() / 2);
        Self { min, max }
    }

    /// The box of a single point.
    pub(crate) fn of_point(point: &'a [f32]) -> Self {
        Self { min: point, max: point }
    }

    /// How far a point lies outside, summed over dimensions; 0 exactly where it lies inside.
    pub(crate) fn excess(&self, point: &[f32]) -> f64 {
        fold(self.min, self.max, point, |min, max, x| {
            (f64::from(min) - f64::from(x)).max(0.0) + (f64::from(x) - f64::from(max)).max(0.0)
        })
    }

    /// The summed ranges.
    pub(crate) fn range_sum(&self) -> f64 {
        fold(self.min, self.max, self.min, |min, max, _| f64::from(max) - f64::from(min))
    }
}

fn fold(a: &[f32], b: &[f32], c: &[f32], each: impl Fn(f32, f32, f32) -> f64) -> f64 {
    let length = a.len();
    let (b, c) = (&b[..length], &c[..length]);
    if length == 1 {
        return each(a[0], b[0], c[0]);
    }
    let mut lanes = [0.0_f64; LANES];
    let whole = length - length % LANES;
    let mut at = 0;
    while at < whole {
        let (a, b, c) = (&a[at..at + LANES], &b[at..at + LANES], &c[at..at + LANES]);
        for lane in 0..LANES {
            lanes[lane] += each(a[lane], b[lane], c[lane]);
        }
        at += LANES;
    }
    for lane in 0..length - whole {
        lanes[lane] += each(a[whole + lane], b[whole + lane], c[whole + lane]);
    }
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6]))
        + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Grows a box to hold another.
pub(crate) fn merge(numbers: &mut [f32], other: Bounds<'_>) {
    let (min, max) = numbers.split_at_mut(numbers.len() / 2);
    for (min, other) in min.iter_mut().zip(other.min) {
        *min = min.min(*other);
    }
    for (max, other) in max.iter_mut().zip(other.max) {
        *max = max.max(*other);
    }
}

/// A cut that parts a point from a box: points with `point[dim] <= cut` are to its left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    pub(crate) dim: u32,
    pub(crate) at: f32,
    pub(crate) point_is_left: bool,
}

/// The cut at `offset` along the gaps between a box and a point outside it, 0 <= offset < excess.
pub(crate) fn cut_at(bounds: Bounds<'_>, point: &[f32], mut offset: f64) -> Cut {
    let mut last = None;
    for (dim, x) in point.iter().enumerate() {
        let (low, high, point_is_left) = if *x < bounds.min[dim] {
            (*x, bounds.min[dim], true)
        } else if *x > bounds.max[dim] {
            (bounds.max[dim], *x, false)
        } else {
            continue;
        };
        let gap = f64::from(high) - f64::from(low);
        let dim = u32::try_from(dim).expect("at most 100 000 dimensions");
        if offset < gap {
            return Cut { dim, at: between(low, high, offset), point_is_left };
        }
        offset -= gap;
        last = Some((dim, low, high, point_is_left));
    }
    // The lanes' sum and this loop's may differ in the last bit: the last gap takes the rest.
    let (dim, low, high, point_is_left) = last.expect("the point lies outside the box");
    Cut { dim, at: high.next_down().max(low), point_is_left }
}

/// `low + offset`, made to part the two: at least `low` and below `high`.
fn between(low: f32, high: f32, offset: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounded back into the gap below")]
    let at = (f64::from(low) + offset) as f32;
    if at < high { at.max(low) } else { high.next_down().max(low) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_parts_neighbouring_floats() {
        let x = 1.0_f32;
        for offset in [0.0, 1e-9, 5.9e-8] {
            let above = x.next_up();
            let cut = cut_at(Bounds::of_point(&[x]), &[above], offset);
            assert!(x <= cut.at && cut.at < above && !cut.point_is_left);
            let cut = cut_at(Bounds::of_point(&[above]), &[x], offset);
            assert!(x <= cut.at && cut.at < above && cut.point_is_left);
        }
    }

    #[test]
    fn the_widest_gap_of_f32_is_cut() {
        let bounds = Bounds::of_point(&[f32::MIN]);
        let excess = bounds.excess(&[f32::MAX]);
        assert!(excess.is_finite());
        for share in [0.0, 0.3, 0.999_999_999_999] {
            let cut = cut_at(bounds, &[f32::MAX], share * excess);
            assert!(f32::MIN <= cut.at && cut.at < f32::MAX);
        }
    }

    #[test]
    fn excess_is_zero_inside_and_adds_up_outside() {
        let numbers: Vec<f32> = (0..10).map(|_| 0.0).chain((0..10).map(|_| 1.0)).collect();
        let bounds = Bounds::of(&numbers);
        assert_eq!(bounds.range_sum(), 10.0);
        assert_eq!(bounds.excess(&[0.5; 10]), 0.0);
        assert_eq!(bounds.excess(&[2.0; 10]), 10.0);
        let mut point = [0.5; 10];
        point[9] = -3.0;
        assert_eq!(bounds.excess(&point), 3.0);
    }
}
