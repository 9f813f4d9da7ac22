//! Four lists of which a stretch is moved by one place, in one loop.

/// Elements that are moved at once.
pub(crate) const BLOCK: usize = 16;
/// What is read and written meanwhile.
const SHIFT: usize = BLOCK + 1;

/// Moves all but the first of some elements to one place before; so many blocks, and one.
#[inline(always)]
pub(crate) fn down<A: Copy, B: Copy, C: Copy, D: Copy>(
    (mut a, mut b): (&mut [A], &mut [B]),
    (mut c, mut d): (&mut [C], &mut [D]),
) {
    while let (Some(in_a), Some(in_b), Some(in_c), Some(in_d)) = (
        a.first_chunk_mut::<SHIFT>(),
        b.first_chunk_mut::<SHIFT>(),
        c.first_chunk_mut::<SHIFT>(),
        d.first_chunk_mut::<SHIFT>(),
    ) {
        in_a.copy_within(1.., 0);
        in_b.copy_within(1.., 0);
        in_c.copy_within(1.., 0);
        in_d.copy_within(1.., 0);
        (a, b) = (&mut a[BLOCK..], &mut b[BLOCK..]);
        (c, d) = (&mut c[BLOCK..], &mut d[BLOCK..]);
    }
}

/// Moves all but the last of some elements to one place behind; so many blocks, and one.
#[inline(always)]
pub(crate) fn up<A: Copy, B: Copy, C: Copy, D: Copy>(
    (mut a, mut b): (&mut [A], &mut [B]),
    (mut c, mut d): (&mut [C], &mut [D]),
) {
    while let (Some(in_a), Some(in_b), Some(in_c), Some(in_d)) = (
        a.last_chunk_mut::<SHIFT>(),
        b.last_chunk_mut::<SHIFT>(),
        c.last_chunk_mut::<SHIFT>(),
        d.last_chunk_mut::<SHIFT>(),
    ) {
        in_a.copy_within(..BLOCK, 1);
        in_b.copy_within(..BLOCK, 1);
        in_c.copy_within(..BLOCK, 1);
        in_d.copy_within(..BLOCK, 1);
        (a, b) = (but_last(a), but_last(b));
        (c, d) = (but_last(c), but_last(d));
    }
}

/// All but the last block.
#[inline(always)]
fn but_last<T>(list: &mut [T]) -> &mut [T] {
    let n = list.len() - BLOCK;
    &mut list[..n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_one_move_by_one() {
        for n_blocks in 0..4 {
            let n = n_blocks * BLOCK + 1;
            let numbers: Vec<u16> = (0..n).map(|x| u16::try_from(x).expect("few")).collect();
            let wide: Vec<u64> = numbers.iter().copied().map(u64::from).collect();
            let (mut a, mut b, mut c, mut d) =
                (numbers.clone(), wide.clone(), numbers.clone(), wide.clone());
            down((&mut a, &mut b), (&mut c, &mut d));
            let moved = numbers[1..].iter().chain(&numbers[n - 1..]);
            assert!(a.iter().eq(moved));
            assert_eq!((&a, &b[..n - 1]), (&c, &wide[1..]));
            assert_eq!(b, d);
            let (mut a, mut b) = (numbers.clone(), wide.clone());
            let (mut c, mut d) = (numbers.clone(), wide.clone());
            up((&mut a, &mut b), (&mut c, &mut d));
            let moved = numbers[..1].iter().chain(&numbers[..n - 1]);
            assert!(a.iter().eq(moved));
            assert_eq!((&a, &b[1..]), (&c, &wide[..n - 1]));
            assert_eq!(b, d);
        }
    }
}
