//! Random cuts between a box and a point outside it.

use crate::kernel::Kernel;
use crate::packed::{BLOCK, Part};

const MINUS_ZERO: u32 = 1 << 31;

/// A cut that parts a point from a box: points with `point[dim] <= cut` are to its left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    pub(crate) dim: u32,
    pub(crate) at: f32,
    pub(crate) point_is_left: bool,
}

/// The cut at `offset` along the gaps between a box and a point outside it, 0 <= offset < excess.
#[inline(always)]
pub(crate) fn cut_at<K: Kernel>(bounds: Part<'_>, point: &[f32], mut offset: f64) -> Cut {
    let mut last = None;
    for block in 0..point.len().div_ceil(BLOCK) {
        let mut outside = K::outside(bounds, point, block);
        while outside != 0 {
            let dim = block * BLOCK + outside.trailing_zeros() as usize;
            outside &= outside - 1;
            let (x, (min, max)) = (point[dim], bounds.range(dim, point.len()));
            let point_is_left = x < min;
            let (low, high) = if point_is_left { (x, min) } else { (max, x) };
            let gap = f64::from(high) - f64::from(low);
            let dim = u32::try_from(dim).expect("at most 100 000 dimensions");
            if offset < gap {
                return Cut { dim, at: between(low, high, offset), point_is_left };
            }
            offset -= gap;
            last = Some((dim, low, high, point_is_left));
        }
    }
    // The lanes' sum and this loop's may differ in the last bit: the last gap takes the rest.
    let (dim, low, high, point_is_left) = last.expect("the point lies outside the box");
    Cut { dim, at: high.next_down().max(low), point_is_left }
}

/// `low + offset`, made to part the two: at least `low` and below `high`; never -0.0, whose key is
/// not that of 0.0.
pub(crate) fn between(low: f32, high: f32, offset: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounded back into the gap below")]
    let at = (f64::from(low) + offset) as f32;
    // By its bits: a compiler may take it that a sum which is not -0.0 is not rounded to it, and
    // leave an addition of 0.0 out.
    let at = if at.to_bits() == MINUS_ZERO { 0.0 } else { at };
    if at < high { at.max(low) } else { high.next_down().max(low) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Portable;

    #[test]
    fn a_cut_parts_neighbouring_floats() {
        let x = 1.0_f32;
        for offset in [0.0, 1e-9, 5.9e-8] {
            let above = x.next_up();
            let cut = cut_at::<Portable>(Part::of_point(&[x]), &[above], offset);
            assert!(x <= cut.at && cut.at < above && !cut.point_is_left);
            let cut = cut_at::<Portable>(Part::of_point(&[above]), &[x], offset);
            assert!(x <= cut.at && cut.at < above && cut.point_is_left);
        }
    }

    #[test]
    fn no_cut_is_minus_zero() {
        let tiny = f32::from_bits(1);
        for share in [0.1, 0.3, 0.45, 0.5, 0.55, 0.7] {
            for (low, high) in [(-tiny, tiny), (-tiny, 0.0), (-1.0, tiny), (-2.0 * tiny, tiny)] {
                let gap = f64::from(high) - f64::from(low);
                let cut = cut_at::<Portable>(Part::of_point(&[high]), &[low], share * gap);
                assert!(low <= cut.at && cut.at < high && cut.at.to_bits() != MINUS_ZERO);
            }
        }
    }

    #[test]
    fn the_widest_gap_of_f32_is_cut() {
        let excess = Portable::distance(&[f32::MIN], &[f32::MAX]);
        assert!(excess.is_finite());
        for share in [0.0, 0.3, 0.999_999_999_999] {
            let cut = cut_at::<Portable>(Part::of_point(&[f32::MIN]), &[f32::MAX], share * excess);
            assert!(f32::MIN <= cut.at && cut.at < f32::MAX);
        }
    }
}
