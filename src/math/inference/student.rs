//! Student's t distribution, for any number of degrees of freedom from 1 on.

use std::f64::consts::PI;

/// The value with probability `p` below it with `freedom` degrees of freedom (1 or more, not
/// necessarily whole; infinite = the normal distribution), to 1e-8 of itself. Bisection of the
/// distribution, by the incomplete beta function.
pub(in crate::math) fn student_quantile(p: f64, freedom: f64) -> f64 {
    if freedom > FAR {
        return super::normal::normal_quantile(p);
    }
    if (p - 0.5).abs() < f64::EPSILON {
        return 0.0;
    }
    let tail = p.min(1.0 - p);
    let (mut low, mut high) = (0.0, 1.0);
    while upper_tail(high, freedom) > tail && high < f64::MAX / 4.0 {
        (low, high) = (high, 2.0 * high);
    }
    while high - low > 1e-12 * high {
        let middle = f64::midpoint(low, high);
        if upper_tail(middle, freedom) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high).copysign(p - 0.5)
}

/// Beyond this many degrees the distribution is the normal one to 1e-8.
const FAR: f64 = 1e8;

/// Probability of a value above `t`, which is not below 0.
fn upper_tail(t: f64, freedom: f64) -> f64 {
    let square = t * t;
    // Whichever of x and 1 - x is small is computed without a difference.
    let (x, rest) = (freedom / (freedom + square), square / (freedom + square));
    incomplete_beta(freedom / 2.0, 0.5, x, rest) / 2.0
}

/// The regularised incomplete beta function at `x`, where `rest` is 1 - x: Numerical Recipes, section
/// 6.4, its continued fraction by Lentz's method.
fn incomplete_beta(a: f64, b: f64, x: f64, rest: f64) -> f64 {
    if x <= 0.0 || rest <= 0.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = (log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * x.ln() + b * rest.ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, rest) / b
    }
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let bounded = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / bounded(1.0 - (a + b) * x / (a + 1.0)));
    let mut product = d;
    for m in 1..10_000_u32 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / bounded(1.0 + even * d);
        c = bounded(1.0 + even / c);
        product *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / bounded(1.0 + odd * d);
        c = bounded(1.0 + odd / c);
        product *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    product
}

/// ln Γ of a number above 0, to 1e-14: Lanczos 1964 with g = 7 and nine terms.
fn log_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - log_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let shifted = x + 7.5;
    let terms = (1..).zip(TERMS).map(|(i, term)| term / (x + f64::from(i)));
    let sum = 0.999_999_999_999_809_9 + terms.sum::<f64>();
    0.5 * (2.0 * PI).ln() + (x + 0.5) * shifted.ln() - shifted + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.t.ppf(p, freedom)`.
    #[test]
    fn quantiles_equal_scipys() {
        for (p, freedom, expected) in [
            (0.975, 1.0, 12.706_204_736_174_694),
            (0.975, 1.3, 7.500_529_325_562_029),
            (0.975, 2.0, 4.302_652_729_749_462),
            (0.975, 3.7, 2.867_520_707_191_189_5),
            (0.975, 6.0, 2.446_911_851_144_978_6),
            (0.8, 2.5, 1.010_163_874_722_251_2),
            (0.995, 8.0, 3.355_387_331_333_395),
            (0.975, 40.5, 2.020_298_428_185_433),
            (0.975, 1_000.0, 1.962_339_080_826_408_3),
            (0.975, 1e9, 1.959_963_986_912_325),
            (0.9999, 1.1, 1_560.732_721_089_055_3),
        ] {
            let value = student_quantile(p, freedom);
            assert!((value / expected - 1.0).abs() < 1e-8, "{p} {freedom}: {value} {expected}");
            assert!((student_quantile(1.0 - p, freedom) + value).abs() < 1e-6 * value.abs());
        }
        assert!(student_quantile(0.5, 3.0).abs() < 1e-12);
    }
}
