//! Logarithm and exponential, the same bits on every machine.
//!
//! The standard library's come from the platform and differ in the last bit between platforms.
//! These use additions, multiplications and divisions in one fixed order, without fused ones. They
//! are within two units in the last place over the ranges that the tests name.

use core::f64::consts::{LN_2, SQRT_2};

// ln 2 in two parts: the first has 21 trailing zero bits, so that its product with an exponent is
// exact.
const LN_2_HIGH: f64 = f64::from_bits(LN_2.to_bits() & !0x1f_ffff);
// ln 2 = 0.693147180559945309417232121458176568...; the second part is what is left of it.
const LN_2_LOW: f64 = (LN_2 - LN_2_HIGH) + 2.319_046_813_846_299_6e-17;

// 1 / n!.
const F: [f64; 15] = {
    let mut reciprocals = [1.0; 15];
    let mut factorial = 1.0;
    let mut n = 1;
    while n < 15 {
        factorial *= n as f64;
        reciprocals[n] = 1.0 / factorial;
        n += 1;
    }
    reciprocals
};

/// The natural logarithm of a positive, finite number.
pub(crate) fn ln(x: f64) -> f64 {
    // Subnormal numbers are scaled up by 2^54 first.
    if x < f64::MIN_POSITIVE { ln_of(x * 18_014_398_509_481_984.0, 54.0) } else { ln_of(x, 0.0) }
}

/// The same of four numbers at once, which are not subnormal.
#[inline(always)]
pub(crate) fn ln_of_four(x: [f64; 4]) -> [f64; 4] {
    x.map(|x| ln_of(x, 0.0))
}

/// The logarithm of `x / 2^bias`, without a branch.
#[inline(always)]
fn ln_of(x: f64, bias: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0);
    let bits = x.to_bits();
    // The exponent in the lowest bits of 2^52, which are worth 1, 2, 4, ..
    const UNIT: f64 = 4_503_599_627_370_496.0;
    let exponent = f64::from_bits((bits >> 52) | UNIT.to_bits()) - (UNIT + 1023.0) - bias;
    let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    let is_large = mantissa > SQRT_2;
    let mantissa = mantissa * if is_large { 0.5 } else { 1.0 };
    let exponent = exponent + if is_large { 1.0 } else { 0.0 };
    // ln m = 2 atanh(s) with s = (m - 1) / (m + 1), |s| < 0.172: eleven terms suffice. They are
    // summed in pairs and pairs of pairs, which the processor does at once.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let z2 = z * z;
    let z4 = z2 * z2;
    let low = (1.0 / 3.0 + z * (1.0 / 5.0)) + z2 * (1.0 / 7.0 + z * (1.0 / 9.0));
    let middle = (1.0 / 11.0 + z * (1.0 / 13.0)) + z2 * (1.0 / 15.0 + z * (1.0 / 17.0));
    let high = (1.0 / 19.0 + z * (1.0 / 21.0)) + z2 * (1.0 / 23.0);
    let sum = low + z4 * (middle + z4 * high);
    let tail = 2.0 * s * z * sum;
    exponent * LN_2_HIGH + (2.0 * s + (tail + exponent * LN_2_LOW))
}

/// The exponential of a number; 0 or infinity beyond the range of f64.
pub(crate) fn exp(x: f64) -> f64 {
    if x > 709.0 {
        return f64::INFINITY;
    }
    if x < -708.0 {
        return 0.0;
    }
    let exponent = floor(x / LN_2 + 0.5);
    let rest = (x - exponent * LN_2_HIGH) - exponent * LN_2_LOW;
    // 1 + r + r^2 / 2! + .. + r^14 / 14!, in pairs and pairs of pairs.
    let r2 = rest * rest;
    let r4 = r2 * r2;
    let r8 = r4 * r4;
    let first = (F[2] + rest * F[3]) + r2 * (F[4] + rest * F[5]);
    let second = (F[6] + rest * F[7]) + r2 * (F[8] + rest * F[9]);
    let third = (F[10] + rest * F[11]) + r2 * (F[12] + rest * F[13]);
    let sum = 1.0 + (rest + r2 * ((first + r4 * second) + r8 * (third + r4 * F[14])));
    #[expect(clippy::cast_possible_truncation, reason = "within -1022..=1023 by the checks above")]
    let biased = (1023 + exponent as i64).cast_unsigned();
    sum * f64::from_bits(biased << 52)
}

/// The largest whole number that is not above x, which is within the range of `i32`.
#[inline(always)]
fn floor(x: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "within the range")]
    let whole = f64::from(x as i32);
    if whole > x { whole - 1.0 } else { whole }
}

/// The square root of a number that is not below 0, correctly rounded.
pub(crate) fn sqrt(x: f64) -> f64 {
    #[cfg(feature = "std")]
    return x.sqrt();
    #[cfg(not(feature = "std"))]
    return whole_sqrt(x);
}

/// [`sqrt`] by whole numbers, for machines whose `core` has none.
#[cfg(any(test, not(feature = "std")))]
fn whole_sqrt(x: f64) -> f64 {
    if x == 0.0 || x.is_infinite() || x.is_nan() {
        return x;
    }
    // x = mantissa * 2^exponent, the mantissa of 53 bits.
    let (x, bias) = if x < f64::MIN_POSITIVE { (x * 18_014_398_509_481_984.0, 54) } else { (x, 0) };
    let bits = x.to_bits();
    let mantissa = (bits & 0x000f_ffff_ffff_ffff) | 0x0010_0000_0000_0000;
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075 - bias;
    // An even exponent, and a root of 55 bits; what is left of it decides the rounding.
    let shift = 56 + (exponent & 1);
    let square = u128::from(mantissa) << shift;
    let root = square.isqrt();
    #[expect(clippy::cast_possible_truncation, reason = "56 bits")]
    let twice = (root << 1) as u64 | u64::from(root * root != square);
    #[expect(clippy::cast_precision_loss, reason = "rounded, as meant")]
    let rounded = twice as f64;
    let biased = ((exponent - shift) / 2 - 1 + 1023).cast_unsigned();
    rounded * f64::from_bits(u64::from(biased) << 52)
}

/// `exp(x) - 1` for x in 0..=1, with its full precision near 0.
pub(crate) fn exp_less_1(x: f64) -> f64 {
    if x < 1e-3 {
        x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0)))))
    } else {
        exp(x) - 1.0
    }
}

/// The binary logarithm of `1 + n`.
pub(crate) fn log2_1p(n: u32) -> f64 {
    let x = n + 1;
    // Exact for powers of two.
    if x.is_power_of_two() { f64::from(x.trailing_zeros()) } else { ln(f64::from(x)) / LN_2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(found: f64, expected: f64) -> f64 {
        let unit = expected.abs().next_up() - expected.abs();
        (found - expected).abs() / unit
    }

    #[test]
    fn ln_is_within_two_units_of_the_platform_s() {
        let mut x = 1e-310;
        while x < 1e300 {
            assert!(ulps(ln(x), x.ln()) <= 2.0, "ln({x:e}) = {:e}", ln(x));
            x *= 1.037;
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn four_logarithms_are_those_of_each() {
        let mut random = crate::random::Random::new(5);
        for _ in 0..100_000 {
            let x = [(); 4].map(|()| 1.0 / random.open01() - 0.999 * random.open01());
            assert_eq!(ln_of_four(x).map(f64::to_bits), x.map(|x| ln(x).to_bits()));
        }
        let edges = [1.0, f64::MIN_POSITIVE, f64::MAX, SQRT_2];
        assert_eq!(ln_of_four(edges).map(f64::to_bits), edges.map(|x| ln(x).to_bits()));
    }

    #[test]
    fn exp_is_within_two_units_of_the_platform_s() {
        let mut x = -700.0;
        while x < 700.0 {
            assert!(ulps(exp(x), x.exp()) <= 2.0, "exp({x}) = {:e}", exp(x));
            x += 0.137;
        }
        assert_eq!((exp(0.0), exp(-1e9), exp(1e9)), (1.0, 0.0, f64::INFINITY));
    }

    #[test]
    fn exp_less_1_keeps_its_precision() {
        let mut x = 1e-12_f64;
        while x < 1.0 {
            assert!((exp_less_1(x) / x.exp_m1() - 1.0).abs() < 1e-12, "{x}");
            x *= 1.7;
        }
        assert_eq!(exp_less_1(0.0), 0.0);
    }

    #[test]
    fn log2_is_exact_at_powers_of_two() {
        assert_eq!((log2_1p(0), log2_1p(1), log2_1p(255)), (0.0, 1.0, 8.0));
        assert!((log2_1p(256) - 257_f64.log2()).abs() < 1e-15);
    }
    #[test]
    fn square_roots_are_the_same_without_the_platform() {
        let mut random = crate::random::Random::new(3);
        let some = (0..100_000).map(|_| f64::from_bits(random.next_u64() >> 1));
        let edges = [0.0, 1.0, 2.0, f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), f64::INFINITY];
        for x in some.filter(|x| !x.is_nan()).chain(edges) {
            assert_eq!(whole_sqrt(x).to_bits(), x.sqrt().to_bits(), "{x:e}");
        }
    }

    #[test]
    fn floors_are_the_platform_s() {
        for n in -20_000..20_000 {
            let x = f64::from(n) * 0.05;
            assert_eq!(floor(x), x.floor());
        }
    }
}
