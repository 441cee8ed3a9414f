//! Exponential and logarithm that a processor can take of several numbers at once, and that give the
//! same bits on every machine (the system's own depend on its library and its instructions).
//!
//! Both are within 2 units in the last place of the true value. The polynomials come from Chebyshev
//! interpolation in 60 digits; what they leave out is below 2e-17 of the result.

/// ln 2 in two parts; a whole number up to 2^20 times the first is exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// 1.5 · 2^52: added to a number below 2^51 it leaves the nearest whole number in the low bits.
const SHIFT: f64 = 6_755_399_441_055_744.0;

/// Below this, e^x is less than the smallest number with all its digits.
const LEAST: f64 = -708.0;

/// (e^r - 1 - r) / r² for |r| up to ln 2 / 2, by powers of r.
const EXP: [f64; 11] = [
    0.5,
    0.166_666_666_666_666_7,
    0.041_666_666_666_666_67,
    0.008_333_333_333_326_136,
    0.001_388_888_888_888_374_8,
    0.000_198_412_698_748_206_27,
    2.480_158_732_554_774_3e-5,
    2.755_725_540_020_642_2e-6,
    2.755_727_364_311_03e-7,
    2.510_521_700_472_074_5e-8,
    2.091_468_696_808_687_6e-9,
];

/// (ln m - 2s) / s³ with s = (m - 1)/(m + 1), for m from √½ to √2, by powers of s².
const LN: [f64; 8] = [
    0.666_666_666_666_666_6,
    0.400_000_000_000_008_8,
    0.285_714_285_708_036_14,
    0.222_222_223_917_139_17,
    0.181_817_956_401_329_06,
    0.153_862_397_028_146_58,
    0.132_687_731_386_568_86,
    0.130_866_261_478_401_02,
];

/// c[0] + c[1]·x + c[2]·x² + ...: even and odd powers by themselves, since each step of such a sum
/// waits for the one before it. `N` is at least 2.
#[inline]
pub(super) fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let square = x * x;
    let (mut last, mut other) = (coefficients[N - 1], coefficients[N - 2]);
    let mut place = N - 2;
    while place >= 2 {
        last = last * square + coefficients[place - 1];
        other = other * square + coefficients[place - 2];
        place -= 2;
    }
    // One coefficient is left when their number is odd.
    if place == 1 { other * x + (last * square + coefficients[0]) } else { last * x + other }
}

/// e^x for x up to 700; 0 where that is below 1e-307, NaN for NaN.
#[inline]
pub(super) fn exp(x: f64) -> f64 {
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let whole = shifted - SHIFT;
    let r = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let power = 1.0 + (r + r * r * polynomial(&EXP, r));
    // The exponent stands above the 52 bits of the digits.
    let scaled = f64::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 52));
    // What is no number makes any bits above: this puts it right.
    let value = scaled + 0.0 * x;
    if x < LEAST { 0.0 } else { value }
}

/// The natural logarithm of x, which is not negative and finite; minus infinity of 0.
#[inline]
pub(super) fn ln(x: f64) -> f64 {
    /// The bits of √½ rounded down: what they are above a power of two tells where its octave ends.
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcc;
    /// The bits of 2^52, whose low bits count whole numbers.
    const COUNT: u64 = 0x4330_0000_0000_0000;
    const BIAS: u64 = 1023;
    /// 2^54 and its logarithm to the base 2: lifts what has lost digits at the least exponent.
    const LIFT: (f64, f64) = (18_014_398_509_481_984.0, 54.0);
    let is_low = x < f64::MIN_POSITIVE;
    let (lifted, lift) = if is_low { (x * LIFT.0, LIFT.1) } else { (x, 0.0) };
    let bits = lifted.to_bits();
    let above = bits.wrapping_sub(ROOT_HALF).wrapping_add(BIAS << 52);
    let octave = above >> 52;
    let m = f64::from_bits(bits.wrapping_sub(octave.wrapping_sub(BIAS) << 52));
    let whole = f64::from_bits(octave | COUNT) - f64::from_bits(BIAS | COUNT) - lift;
    let f = m - 1.0;
    let s = f / (m + 1.0);
    let z = s * s;
    // ln m = 2s + ... = f - s·(f - ...): f is exact, 2s is not.
    let low = s * (f - z * polynomial(&LN, z)) - whole * LN_2_LOW;
    let value = whole * LN_2_HIGH - (low - f);
    if x == 0.0 { f64::NEG_INFINITY } else { value }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Within so many units in the last place of a value.
    fn near(found: f64, expected: f64, units: f64) -> bool {
        (found - expected).abs() <= units * f64::EPSILON * expected.abs().max(f64::MIN_POSITIVE)
    }

    proptest! {
        #[test]
        fn an_exponential_is_that_of_the_systems_library(x in -707.9_f64..700.0, y in -1.0_f64..1.0) {
            prop_assert!(near(exp(x), x.exp(), 2.0), "{x}: {} {}", exp(x), x.exp());
            prop_assert!(near(exp(y), y.exp(), 2.0), "{y}: {} {}", exp(y), y.exp());
        }

        #[test]
        fn a_logarithm_is_that_of_the_systems_library(log in -700.0_f64..700.0, y in 0.4_f64..2.5) {
            let x = log.exp();
            prop_assert!(near(ln(x), x.ln(), 2.0), "{x}: {} {}", ln(x), x.ln());
            prop_assert!(near(ln(y), y.ln(), 2.0), "{y}: {} {}", ln(y), y.ln());
        }
    }

    #[test]
    fn what_is_exact_comes_out_exact() {
        assert_eq!((exp(0.0).to_bits(), exp(-0.0)), (1.0_f64.to_bits(), 1.0));
        assert_eq!(ln(1.0).to_bits(), 0.0_f64.to_bits());
        assert_eq!((ln(2.0), ln(0.5)), (std::f64::consts::LN_2, -std::f64::consts::LN_2));
    }

    #[test]
    fn ends_of_the_range_have_their_limits() {
        assert_eq!((exp(-709.0), exp(f64::NEG_INFINITY)), (0.0, 0.0));
        assert!(exp(-708.0) > 0.0);
        assert!(exp(f64::NAN).is_nan());
        assert_eq!((ln(0.0), ln(-0.0)), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        for x in [f64::from_bits(1), 1e-310, f64::MIN_POSITIVE, f64::MAX] {
            assert!(near(ln(x), x.ln(), 2.0), "{x}: {}", ln(x));
        }
    }
}
