//! Sums over dimensions with AVX-512: eight lanes at once.

use core::arch::x86_64::{
    __m128, __m256, __m512d, _mm256_add_pd, _mm512_abs_pd, _mm512_add_pd, _mm512_castpd512_pd256,
    _mm512_cvtps_pd, _mm512_extractf64x4_pd, _mm512_setzero_pd, _mm512_sub_pd,
    _mm512_zextpd256_pd512,
};

use super::avx2::{blocks, eight, fold_four, four, gaps, point_blocks, sums};
use crate::packed::Open;

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
