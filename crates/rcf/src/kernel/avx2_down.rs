//! The way down trees with AVX2.

use core::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi64, _mm256_and_si256,
    _mm256_andnot_si256, _mm256_blendv_epi8, _mm256_castsi256_si128, _mm256_cmpeq_epi64,
    _mm256_cmpgt_epi32, _mm256_cvtepu32_epi64, _mm256_i64gather_epi32, _mm256_i64gather_epi64,
    _mm256_min_epu32, _mm256_or_si256, _mm256_permutevar8x32_epi32, _mm256_set1_epi64x,
    _mm256_setr_epi32, _mm256_setzero_si256, _mm256_srli_epi64, _mm256_srlv_epi64,
    _mm256_sub_epi64, _mm256_testz_si256,
};

use crate::layout::{DIM_AT, LEFT_AT, Layout, REF, RIGHT_AT, Small};
use crate::packed::ANY;
use crate::walk::Found;

/// Lanes of an instruction.
const WIDTH: usize = 4;
/// So many take their steps in turn, so that none waits for memory alone.
const GROUPS: usize = 4;

#[target_feature(enable = "avx2")]
#[inline]
fn load(numbers: &[u32; 4]) -> __m256i {
    #[expect(unsafe_code, reason = "there is no safe load")]
    // SAFETY: four numbers can be read; the load needs no alignment.
    unsafe {
        _mm256_cvtepu32_epi64(_mm_loadu_si128(numbers.as_ptr().cast()))
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(numbers: &mut [u32; 4], vector: __m256i) {
    let low = _mm256_permutevar8x32_epi32(vector, _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0));
    #[expect(unsafe_code, reason = "there is no safe store")]
    // SAFETY: four numbers can be written; the store needs no alignment.
    unsafe {
        _mm_storeu_si128(numbers.as_mut_ptr().cast(), _mm256_castsi256_si128(low));
    }
}

/// Leads a point down trees, four an instruction.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn descend<const LENGTH: usize>(nodes: &[u64], keys: &[i32], found: &mut Found) {
    let mut first = [0; 8];
    first.iter_mut().zip(keys).for_each(|(to, key)| *to = *key);
    let [a, b, c, d, e, f, g, h] = first;
    let first = _mm256_setr_epi32(a, b, c, d, e, f, g, h);
    let n_groups = found.n.div_ceil(WIDTH);
    let mut group = 0;
    while group < n_groups {
        match n_groups - group {
            1 => descend_in::<LENGTH, 1>(nodes, keys, first, found, group),
            2 => descend_in::<LENGTH, 2>(nodes, keys, first, found, group),
            3 => descend_in::<LENGTH, 3>(nodes, keys, first, found, group),
            _ => descend_in::<LENGTH, GROUPS>(nodes, keys, first, found, group),
        }
        group += GROUPS;
    }
}

/// The same for `N` groups of lanes, from one on; `first_keys` are the first eight.
#[target_feature(enable = "avx2")]
#[inline]
fn descend_in<const LENGTH: usize, const N: usize>(
    nodes: &[u64],
    keys: &[i32],
    first_keys: __m256i,
    found: &mut Found,
    first: usize,
) {
    // Indices have fewer than 32 bits.
    let last_key = _mm256_set1_epi64x((keys.len() - 1).cast_signed() as i64);
    let last_node = _mm256_set1_epi64x((nodes.len() - 1).cast_signed() as i64);
    let is_leaf = _mm256_set1_epi64x(i64::from(Small::LEAF));
    let (bases, _) = found.bases.as_chunks::<WIDTH>();
    let (leaves, _) = found.leaves.as_chunks_mut::<WIDTH>();
    let (depths, _) = found.depths.as_chunks_mut::<WIDTH>();
    let mut base = [_mm256_setzero_si256(); N];
    let mut at = base;
    let mut depth = base;
    for group in 0..N {
        base[group] = load(&bases[first + group]);
        at[group] = load(&leaves[first + group]);
    }
    loop {
        let mut going = _mm256_setzero_si256();
        for group in 0..N {
            let stays = _mm256_cmpeq_epi64(_mm256_and_si256(at[group], is_leaf), is_leaf);
            let goes = _mm256_andnot_si256(stays, _mm256_set1_epi64x(-1));
            going = _mm256_or_si256(going, goes);
            let place = _mm256_min_epu32(_mm256_add_epi64(base[group], at[group]), last_node);
            #[expect(unsafe_code, reason = "there is no safe gather")]
            // SAFETY: no index is above that of the last node.
            let node = unsafe { _mm256_i64gather_epi64::<8>(nodes.as_ptr().cast(), place) };
            let dims = _mm256_srli_epi64::<{ DIM_AT.cast_signed() }>(node);
            let dims = _mm256_and_si256(dims, _mm256_set1_epi64x(0xff));
            let picked = if LENGTH != ANY && LENGTH <= 8 {
                _mm256_permutevar8x32_epi32(first_keys, dims)
            } else {
                let dims = _mm256_min_epu32(dims, last_key);
                #[expect(unsafe_code, reason = "there is no safe gather")]
                // SAFETY: no index is above that of the last key.
                let picked = unsafe { _mm256_i64gather_epi32::<4>(keys.as_ptr().cast(), dims) };
                _mm256_cvtepu32_epi64(picked)
            };
            // What is in the high halves does not matter.
            let right = _mm256_cmpgt_epi32(picked, node);
            let further = _mm256_set1_epi64x(i64::from(RIGHT_AT - LEFT_AT));
            let further = _mm256_and_si256(right, further);
            let shift = _mm256_add_epi64(_mm256_set1_epi64x(i64::from(LEFT_AT)), further);
            let child = _mm256_srlv_epi64(node, shift);
            let child = _mm256_and_si256(child, _mm256_set1_epi64x(REF.cast_signed()));
            at[group] = _mm256_blendv_epi8(at[group], child, goes);
            depth[group] = _mm256_sub_epi64(depth[group], goes);
        }
        if _mm256_testz_si256(going, going) == 1 {
            break;
        }
    }
    for group in 0..N {
        store(&mut leaves[first + group], at[group]);
        store(&mut depths[first + group], depth[group]);
    }
}
