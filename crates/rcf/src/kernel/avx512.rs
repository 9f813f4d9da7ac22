//! Sums over dimensions, and the way down trees, with AVX-512: eight lanes at once.

use core::arch::x86_64::{
    __m128, __m256, __m256i, __m512d, __m512i, _mm256_add_pd, _mm256_cmpgt_epi32_mask,
    _mm256_loadu_si256, _mm256_storeu_si256, _mm512_abs_pd, _mm512_add_epi64, _mm512_add_pd,
    _mm512_and_si512, _mm512_castpd512_pd256, _mm512_cvtepi64_epi32, _mm512_cvtepu32_epi64,
    _mm512_cvtps_pd, _mm512_extractf64x4_pd, _mm512_i64gather_epi32, _mm512_mask_add_epi64,
    _mm512_mask_i64gather_epi64, _mm512_mask_mov_epi64, _mm512_mask_srli_epi64, _mm512_min_epu64,
    _mm512_permutex2var_epi64, _mm512_set1_epi64, _mm512_setzero_pd, _mm512_setzero_si512,
    _mm512_srli_epi64, _mm512_sub_pd, _mm512_testn_epi64_mask, _mm512_zextpd256_pd512,
};

use super::avx2::{blocks, eight, fold_four, four, gaps, point_blocks, sums};
use crate::layout::{DIM_AT, LEFT_AT, Layout, REF, RIGHT_AT, Small};
use crate::packed::{ANY, Open};
use crate::walk::Found;

#[target_feature(enable = "avx512f")]
#[inline]
fn no_lanes() -> __m512d {
    _mm512_setzero_pd()
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add8(lanes: &mut __m512d, a: __m256, b: __m256) {
    let difference = _mm512_sub_pd(_mm512_cvtps_pd(a), _mm512_cvtps_pd(b));
    *lanes = _mm512_add_pd(*lanes, _mm512_abs_pd(difference));
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add4(lanes: &mut __m512d, a: __m128, b: __m128) {
    *lanes = _mm512_add_pd(*lanes, _mm512_zextpd256_pd512(gaps(a, b)));
}

#[target_feature(enable = "avx512f")]
#[inline]
fn fold(lanes: __m512d) -> f64 {
    let high = _mm512_extractf64x4_pd::<1>(lanes);
    fold_four(_mm256_add_pd(_mm512_castpd512_pd256(lanes), high))
}

sums!("avx512f,avx512vl,avx512dq");

/// Lanes of an instruction.
const WIDTH: usize = 8;
/// So many take their steps in turn, so that none waits for memory alone.
const GROUPS: usize = 7;

#[target_feature(enable = "avx512f,avx512vl,avx512dq")]
#[inline]
fn load(numbers: &[u32; 8]) -> __m512i {
    #[expect(unsafe_code, reason = "there is no safe load")]
    // SAFETY: eight numbers can be read; the load needs no alignment.
    unsafe {
        _mm512_cvtepu32_epi64(_mm256_loadu_si256(numbers.as_ptr().cast()))
    }
}

#[target_feature(enable = "avx512f,avx512vl,avx512dq")]
#[inline]
fn store(numbers: &mut [u32; 8], vector: __m512i) {
    #[expect(unsafe_code, reason = "there is no safe store")]
    // SAFETY: eight numbers can be written; the store needs no alignment.
    unsafe {
        _mm256_storeu_si256(numbers.as_mut_ptr().cast(), _mm512_cvtepi64_epi32(vector));
    }
}

/// The keys of some dimensions, in the low halves.
#[target_feature(enable = "avx512f,avx512vl,avx512dq")]
#[inline]
fn pick<const LENGTH: usize>(keys: &[i32], table: [__m512i; 2], dims: __m512i) -> __m256i {
    if LENGTH != ANY && LENGTH <= 16 {
        return _mm512_cvtepi64_epi32(_mm512_permutex2var_epi64(table[0], dims, table[1]));
    }
    let last = _mm512_set1_epi64((keys.len() - 1).cast_signed() as i64);
    #[expect(unsafe_code, reason = "there is no safe gather")]
    // SAFETY: no index is above that of the last key.
    unsafe {
        _mm512_i64gather_epi32::<4>(_mm512_min_epu64(dims, last), keys.as_ptr().cast())
    }
}

/// Eight keys from `start` on, as far as there are.
#[target_feature(enable = "avx512f,avx512vl,avx512dq")]
#[inline]
fn table(keys: &[i32], start: usize) -> __m512i {
    let mut some = [0; 8];
    some.iter_mut().zip(keys.iter().skip(start)).for_each(|(to, key)| *to = key.cast_unsigned());
    load(&some)
}

/// Leads a point down trees, eight an instruction.
#[target_feature(enable = "avx512f,avx512vl,avx512dq")]
#[inline]
pub(super) fn descend<const LENGTH: usize>(nodes: &[u64], keys: &[i32], found: &mut Found) {
    let table = [table(keys, 0), table(keys, WIDTH)];
    let n_groups = found.n.div_ceil(WIDTH);
    let mut group = 0;
    while group < n_groups {
        match n_groups - group {
            1 => descend_in::<LENGTH, 1>(nodes, keys, table, found, group),
            2 => descend_in::<LENGTH, 2>(nodes, keys, table, found, group),
            3 | 4 => descend_in::<LENGTH, 4>(nodes, keys, table, found, group),
            _ => descend_in::<LENGTH, GROUPS>(nodes, keys, table, found, group),
        }
        group += GROUPS;
    }
}

/// The same for `N` groups of lanes, from one on.
#[target_feature(enable = "avx512f,avx512vl,avx512dq")]
#[inline]
fn descend_in<const LENGTH: usize, const N: usize>(
    nodes: &[u64],
    keys: &[i32],
    table: [__m512i; 2],
    found: &mut Found,
    first: usize,
) {
    let last = _mm512_set1_epi64((nodes.len() - 1).cast_signed() as i64);
    let is_leaf = _mm512_set1_epi64(i64::from(Small::LEAF));
    let reference = _mm512_set1_epi64(REF.cast_signed());
    let (bases, _) = found.bases.as_chunks::<WIDTH>();
    let (leaves, _) = found.leaves.as_chunks_mut::<WIDTH>();
    let (depths, _) = found.depths.as_chunks_mut::<WIDTH>();
    let mut base = [_mm512_setzero_si512(); N];
    let mut at = base;
    let mut depth = base;
    for group in 0..N {
        base[group] = load(&bases[first + group]);
        at[group] = load(&leaves[first + group]);
    }
    loop {
        let mut going = 0;
        for group in 0..N {
            let goes = _mm512_testn_epi64_mask(at[group], is_leaf);
            going |= goes;
            let place = _mm512_min_epu64(_mm512_add_epi64(base[group], at[group]), last);
            #[expect(unsafe_code, reason = "there is no safe gather")]
            // SAFETY: no index is above that of the last node.
            let node = unsafe {
                _mm512_mask_i64gather_epi64::<8>(place, goes, place, nodes.as_ptr().cast())
            };
            let dims = _mm512_srli_epi64::<DIM_AT>(node);
            let dims = _mm512_and_si512(dims, _mm512_set1_epi64(0xff));
            let cuts = _mm512_cvtepi64_epi32(node);
            let right = _mm256_cmpgt_epi32_mask(pick::<LENGTH>(keys, table, dims), cuts);
            let left = _mm512_srli_epi64::<LEFT_AT>(node);
            let child = _mm512_mask_srli_epi64::<RIGHT_AT>(left, right, node);
            let child = _mm512_and_si512(child, reference);
            at[group] = _mm512_mask_mov_epi64(at[group], goes, child);
            let one = _mm512_set1_epi64(1);
            depth[group] = _mm512_mask_add_epi64(depth[group], goes, depth[group], one);
        }
        if going == 0 {
            break;
        }
    }
    for group in 0..N {
        store(&mut leaves[first + group], at[group]);
        store(&mut depths[first + group], depth[group]);
    }
}
