//! Exponentials and logarithms of several numbers at once, the same bits on every machine; the system's
//! own depend on its library and its instructions.

use wide::f64x4;

/// Makes e^x of each x; 0 of minus infinity, NaN of NaN.
pub(super) fn exp_each(values: &mut [f64]) {
    four_by_four(values, 0.0, f64x4::exp);
}

/// Makes the natural logarithm of each number, none of them negative; minus infinity of 0.
pub(super) fn ln_each(values: &mut [f64]) {
    four_by_four(values, 1.0, |x| {
        let found = x.ln();
        // Below the least number with all its digits the crate has no logarithm.
        let is_low = |x: &f64| *x < f64::MIN_POSITIVE;
        if x.as_array().iter().any(is_low) {
            let each = |i: usize| {
                let x = x.as_array()[i];
                if is_low(&x) { x.ln() } else { found.as_array()[i] }
            };
            return f64x4::from([each(0), each(1), each(2), each(3)]);
        }
        found
    });
}

/// Replaces each number by `of` of it; `filler` completes the last four.
#[inline]
fn four_by_four(values: &mut [f64], filler: f64, of: impl Fn(f64x4) -> f64x4) {
    let (fours, rest) = values.as_chunks_mut();
    for four in fours {
        *four = of(f64x4::from(*four)).to_array();
    }
    if !rest.is_empty() {
        let mut four = [filler; 4];
        four[..rest.len()].copy_from_slice(rest);
        let found = of(f64x4::from(four)).to_array();
        rest.copy_from_slice(&found[..rest.len()]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exp(x: f64) -> f64 {
        let mut value = [x];
        exp_each(&mut value);
        value[0]
    }

    fn ln(x: f64) -> f64 {
        let mut value = [x];
        ln_each(&mut value);
        value[0]
    }

    /// Within that many units in the last place of a value.
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

        #[test]
        fn a_number_has_the_same_bits_wherever_it_stands(x in -50.0_f64..50.0, n in 1_usize..11, at in 0_usize..11) {
            let mut values: Vec<f64> = (0..n).map(|i| i as f64 - 5.0).collect();
            values[at % n] = x;
            exp_each(&mut values);
            prop_assert_eq!(values[at % n].to_bits(), exp(x).to_bits());
            let power = values[at % n];
            ln_each(&mut values);
            prop_assert_eq!(values[at % n].to_bits(), ln(power).to_bits());
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
        assert_eq!((exp(-800.0), exp(f64::NEG_INFINITY)), (0.0, 0.0));
        assert!(exp(-708.0) > 0.0);
        assert!(exp(f64::NAN).is_nan());
        assert_eq!((ln(0.0), ln(-0.0)), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        for x in [f64::from_bits(1), 1e-310, f64::MIN_POSITIVE, f64::MAX] {
            assert!(near(ln(x), x.ln(), 2.0), "{x}: {}", ln(x));
        }
    }
}
